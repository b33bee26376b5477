import { ClipflowError } from '../errors.js';

/** Elements of an array in the machine's own number types; `i8` and `u8` come as bigint. */
export type Elements =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

interface ElementsConstructor {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): Elements;
}

/** By numpy's kind and size in bytes; `f2` is read as its bits, then widened; `b1` is 0 or 1. */
const TYPES: Readonly<Record<string, ElementsConstructor>> = {
  f2: Uint16Array,
  f4: Float32Array,
  f8: Float64Array,
  i1: Int8Array,
  i2: Int16Array,
  i4: Int32Array,
  i8: BigInt64Array,
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  u8: BigUint64Array,
  b1: Uint8Array,
};

/**
 * The elements of `buffer`, which holds `count` of numpy's `dtype` ('<f4', '|u1', '>i2', ...): a view where the bytes
 * are little-endian and aligned, else a copy.
 *
 * @throws ClipflowError INVALID_DOCUMENT for a dtype that is not numeric and a buffer of another length.
 */
export function elements(buffer: Uint8Array, dtype: string, count: number): Elements {
  const name = dtype.slice(1);
  const type = /^[<>|=]/.test(dtype) && Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
  if (type === undefined) {
    throw new ClipflowError(
      'INVALID_DOCUMENT',
      `dtype ${JSON.stringify(dtype)} is not numeric: expected one of ${Object.keys(TYPES).join(', ')} behind '<', '>' or '|'`,
    );
  }
  const size = type.BYTES_PER_ELEMENT;
  if (count * size !== buffer.byteLength) {
    throw new ClipflowError(
      'INVALID_DOCUMENT',
      `buffer of ${buffer.byteLength} bytes does not fit its shape: ${count} elements of ${dtype} take ${count * size}`,
    );
  }
  const swapped = dtype.startsWith('>') && size > 1;
  const own = swapped || buffer.byteOffset % size !== 0 ? new Uint8Array(buffer) : buffer;
  if (swapped) swapBytes(own, size);
  const values = new type(own.buffer, own.byteOffset, count);
  return name === 'f2' ? widenHalves(values as Uint16Array) : values;
}

function swapBytes(bytes: Uint8Array, size: number): void {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (size === 2) view.swap16();
  else if (size === 4) view.swap32();
  else view.swap64();
}

/** IEEE 754 binary16: 1 bit of sign, 5 of exponent (bias 15), 10 of fraction. */
function widenHalves(bits: Uint16Array): Float32Array {
  return Float32Array.from(bits, (half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}
