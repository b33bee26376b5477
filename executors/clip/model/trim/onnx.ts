import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { contents, integers, texts } from './protobuf.js';

// Field numbers of onnx.proto (github.com/onnx/onnx, onnx/onnx.proto).
export const MODEL = { graph: 7, opsetImport: 8 } as const;
export const GRAPH = { node: 1, initializer: 5, input: 11, output: 12, valueInfo: 13 } as const;
export const NODE = { input: 1, output: 2, opType: 4, attribute: 5 } as const;
export const TENSOR = { dims: 1, dataType: 2, int64Data: 7, name: 8, rawData: 9 } as const;
/** ValueInfoProto: type, tensor_type, shape, dim; a Dimension holds a value or a name. */
export const DIMENSIONS = [2, 1, 2, 1] as const;
export const DIMENSION = { value: 1, param: 2 } as const;
const ATTRIBUTE = { name: 1, integer: 3, tensor: 5, type: 20 } as const;
const OPSET = { domain: 1, version: 2 } as const;

const INT64 = 7; // TensorProto.DataType
const INTEGER_ATTRIBUTE = 2; // AttributeProto.AttributeType

/** Version of the standard operators that a model is written in; 0 where it says none. */
export function opsetVersion(model: Uint8Array): number {
  const standard = contents(model, MODEL.opsetImport).find((opset) =>
    ['', 'ai.onnx'].includes(texts(opset, OPSET.domain)[0] ?? ''),
  );
  return standard ? Number(integers(standard, OPSET.version)[0] ?? 0) : 0;
}

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
  const value = contents(node, NODE.attribute).find((attribute) => texts(attribute, ATTRIBUTE.name)[0] === 'value');
  return value && contents(value, ATTRIBUTE.tensor)[0];
}

/** A NodeProto with one output. */
export function encodeNode(
  opType: string,
  inputs: readonly string[],
  output: string,
  attributes: Record<string, number> = {},
): Uint8Array {
  const writer = new BinaryWriter();
  for (const input of inputs) writer.tag(NODE.input, WireType.LengthDelimited).string(input);
  writer.tag(NODE.output, WireType.LengthDelimited).string(output);
  writer.tag(NODE.opType, WireType.LengthDelimited).string(opType);
  for (const [name, value] of Object.entries(attributes)) {
    writer.tag(NODE.attribute, WireType.LengthDelimited).fork();
    writer.tag(ATTRIBUTE.name, WireType.LengthDelimited).string(name);
    writer.tag(ATTRIBUTE.integer, WireType.Varint).int64(value);
    writer.tag(ATTRIBUTE.type, WireType.Varint).int32(INTEGER_ATTRIBUTE).join();
  }
  return writer.finish();
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
