// Node 20 has no Float16Array, so float16 is handled as its bits (IEEE 754 binary16 in a Uint16Array).

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** Writes `values` as float16 into `out`: to the nearest, ties to even, infinite from 65520 on. */
export function encodeFloat16(values: Float32Array, out: Uint16Array): void {
  const source = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < source.length; i++) out[i] = encodeBits(source[i] ?? 0);
}

/** The values of float16 `bits`. */
export function decodeFloat16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = decodeBits(bits[i] ?? 0);
  return values;
}

/** From the bits of a float32 to those of a float16. */
function encodeBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520, halfway past the largest float16
  if (magnitude < 0x38800000) {
    // Below 2^-14 a float16 counts in steps of 2^-24, and so do floats from 0.5 to 1: adding 0.5 rounds to them.
    floatBits[0] = magnitude;
    float[0] = 0.5 + (float[0] ?? 0);
    return sign | ((floatBits[0] ?? 0) - 0x3f000000);
  }
  // 0xfff and the last kept bit round 13 bits away, ties to even; 0x38000000 takes the exponent's bias from 127 to 15.
  return sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13);
}

function decodeBits(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
