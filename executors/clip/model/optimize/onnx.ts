import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { contents, integers, join, mapContents, texts } from './protobuf.js';

// Field numbers of onnx.proto (github.com/onnx/onnx, onnx/onnx.proto).
export const MODEL = { graph: 7, opsetImport: 8 } as const;
export const GRAPH = { node: 1, initializer: 5, input: 11, output: 12, valueInfo: 13 } as const;
export const VALUE = { name: 1 } as const;
export const NODE = { input: 1, output: 2, opType: 4, attribute: 5 } as const;
export const TENSOR = { dims: 1, dataType: 2, int64Data: 7, name: 8, rawData: 9 } as const;
/** ValueInfoProto: type, tensor_type, shape, dim; a Dimension holds a value or a name. */
export const DIMENSIONS = [2, 1, 2, 1] as const;
export const DIMENSION = { value: 1, param: 2 } as const;
export const OPSET = { domain: 1, version: 2 } as const;

const ATTRIBUTE = { name: 1, integer: 3, tensor: 5, integers: 8, type: 20 } as const;

const INT64 = 7; // TensorProto.DataType
const ATTRIBUTE_TYPE = { integer: 2, integers: 7 } as const; // AttributeProto.AttributeType

/** Attributes of a node by name: integers, or lists of them. */
export type Attributes = Record<string, number | readonly number[]>;

/** A TensorProto's shape and, for a vector or scalar of int64 that is not stored elsewhere, its values. */
export function readTensor(tensor: Uint8Array): { dims: number[]; integers: bigint[] } {
  const dims = integers(tensor, TENSOR.dims).map(Number);
  if (dims.length > 1 || integers(tensor, TENSOR.dataType)[0] !== BigInt(INT64)) return { dims, integers: [] };
  const [raw] = contents(tensor, TENSOR.rawData);
  return { dims, integers: raw ? littleEndian(raw) : integers(tensor, TENSOR.int64Data) };
}

function littleEndian(raw: Uint8Array): bigint[] {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  return Array.from({ length: Math.floor(raw.byteLength / 8) }, (_, i) => view.getBigInt64(8 * i, true));
}

/** The TensorProto of a Constant node; undefined for another node, and for a constant stated as a plain attribute. */
export function constantTensor(node: Uint8Array): Uint8Array | undefined {
  if (texts(node, NODE.opType)[0] !== 'Constant') return undefined;
  const value = attribute(node, 'value');
  return value && contents(value, ATTRIBUTE.tensor)[0];
}

/** A node's attribute that is a list of integers; empty without it. */
export function integersAttribute(node: Uint8Array, name: string): number[] {
  const value = attribute(node, name);
  return value ? integers(value, ATTRIBUTE.integers).map(Number) : [];
}

function attribute(node: Uint8Array, name: string): Uint8Array | undefined {
  return contents(node, NODE.attribute).find((one) => texts(one, ATTRIBUTE.name)[0] === name);
}

/** A NodeProto with one output. */
export function encodeNode(
  opType: string,
  inputs: readonly string[],
  output: string,
  attributes: Attributes = {},
): Uint8Array {
  const writer = new BinaryWriter();
  for (const input of inputs) writer.tag(NODE.input, WireType.LengthDelimited).string(input);
  writer.tag(NODE.output, WireType.LengthDelimited).string(output);
  writer.tag(NODE.opType, WireType.LengthDelimited).string(opType);
  for (const [name, value] of Object.entries(attributes)) {
    writer.tag(NODE.attribute, WireType.LengthDelimited).fork();
    writer.tag(ATTRIBUTE.name, WireType.LengthDelimited).string(name);
    const [kind, values] = typeof value === 'number' ? (['integer', [value]] as const) : (['integers', value] as const);
    for (const one of values) writer.tag(ATTRIBUTE[kind], WireType.Varint).int64(one);
    writer.tag(ATTRIBUTE.type, WireType.Varint).int32(ATTRIBUTE_TYPE[kind]).join();
  }
  return writer.finish();
}

/** A message in which the names in a field are others. */
export function renamed(message: Uint8Array, field: number, name: (old: string) => string): Uint8Array {
  return join(mapContents(message, [field], (old) => [Buffer.from(name(Buffer.from(old).toString()))]));
}

/** A TensorProto of int64: a scalar, or a vector. */
export function encodeIntegers(name: string, values: bigint | readonly bigint[]): Uint8Array {
  const writer = new BinaryWriter();
  if (typeof values !== 'bigint') writer.tag(TENSOR.dims, WireType.Varint).int64(values.length);
  writer.tag(TENSOR.dataType, WireType.Varint).int32(INT64);
  writer.tag(TENSOR.int64Data, WireType.LengthDelimited).fork();
  for (const value of typeof values === 'bigint' ? [values] : values) writer.int64(value);
  writer.join();
  return writer.tag(TENSOR.name, WireType.LengthDelimited).string(name).finish();
}

/** A Dimension that varies. */
export function encodeDimension(name: string): Uint8Array {
  return new BinaryWriter().tag(DIMENSION.param, WireType.LengthDelimited).string(name).finish();
}
