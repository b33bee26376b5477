import { BinaryReader, type BinaryWriter } from '@bufbuild/protobuf/wire';
import { elements, type Elements } from './dtype.js';
import { BYTES, EMPTY, FieldCursor, merged, tagOf, VARINT } from './wire.js';

/** A dense array as docarray 0.21 carries it (NdArrayProto). Immutable: set a new one to change a document. */
export class NdArray {
  constructor(
    /** The elements in C order, byte order by `dtype`. */
    readonly buffer: Uint8Array,
    readonly shape: readonly number[],
    /** As numpy spells it: '<f4', '|u1', '<f8', '<i8', ... */
    readonly dtype: string,
    /** Framework that a Python client restores: numpy, torch, paddle, tensorflow or list. */
    readonly clsName: string = 'numpy',
  ) {}

  /** Shares the memory of `values`. @param shape by default one dimension */
  static fromFloat32(values: Float32Array, shape: readonly number[] = [values.length]): NdArray {
    return new NdArray(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), shape, '<f4');
  }

  /** Number of elements. */
  get size(): number {
    return this.shape.reduce((product, dimension) => product * dimension, 1);
  }

  /** @throws ClipflowError INVALID_DOCUMENT for a dtype that is not numeric and a buffer that does not fit the shape. */
  elements(): Elements {
    return elements(this.buffer, this.dtype, this.size);
  }

  /** The elements in C order: a view where they are aligned '<f4', else converted. Throws as `elements` does. */
  toFloat32(): Float32Array {
    const values = this.elements();
    if (values instanceof Float32Array) return values;
    const floats = new Float32Array(values.length);
    for (let i = 0; i < floats.length; i++) floats[i] = Number(values[i]);
    return floats;
  }
}

const DENSE = tagOf(1, BYTES);
const SPARSE = tagOf(2, BYTES);
const CLS_NAME = tagOf(3, BYTES);
const BUFFER = tagOf(1, BYTES);
const SHAPE = tagOf(2, VARINT);
const SHAPE_PACKED = tagOf(2, BYTES);
const DTYPE = tagOf(3, BYTES);

/** Decodes an NdArrayProto; whether its parts fit together shows when the elements are read. Throws a plain Error. */
export function readNdArray(payload: Uint8Array): NdArray {
  const dense: Uint8Array[] = [];
  let clsName = '';
  for (const field = new FieldCursor(payload); field.next();) {
    if (field.tag === DENSE) dense.push(field.payload());
    else if (field.tag === CLS_NAME) clsName = field.text();
    else if (field.tag === SPARSE) throw new Error('a sparse array is not supported: send it dense');
  }
  return readDense(merged(dense), clsName);
}

function readDense(payload: Uint8Array, clsName: string): NdArray {
  let buffer: Uint8Array = EMPTY;
  let dtype = '';
  const shape: number[] = [];
  for (const field = new FieldCursor(payload); field.next();) {
    if (field.tag === BUFFER) buffer = field.payload();
    else if (field.tag === DTYPE) dtype = field.text();
    else if (field.tag === SHAPE) shape.push(field.uint32());
    else if (field.tag === SHAPE_PACKED) {
      const packed = new BinaryReader(field.payload());
      while (packed.pos < packed.len) shape.push(packed.uint32());
    }
  }
  return new NdArray(buffer, shape, dtype, clsName);
}

/** Writes an NdArrayProto behind `tag`, with its length. */
export function writeNdArray(writer: BinaryWriter, tag: number, array: NdArray): void {
  writer.uint32(tag).fork().uint32(DENSE).fork();
  writer.uint32(BUFFER).bytes(array.buffer).uint32(SHAPE_PACKED).fork();
  for (const dimension of array.shape) writer.uint32(dimension);
  writer.join().uint32(DTYPE).string(array.dtype).join();
  writer.uint32(CLS_NAME).string(array.clsName).join();
}
