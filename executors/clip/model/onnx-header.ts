import { open, type FileHandle } from 'node:fs/promises';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { ClipflowError } from '../../../src/errors.js';
import type { GraphValue } from './graph.js';

// Field numbers and element types of onnx.proto (github.com/onnx/onnx, onnx/onnx.proto).
const MODEL_GRAPH = 7;
const GRAPH_INITIALIZER = 5;
const GRAPH_INPUT = 11;
const INITIALIZER_NAME = 8;
const ELEMENT_TYPES: Record<number, string> = { 1: 'float32', 6: 'int32', 7: 'int64', 10: 'float16' };

/** What a field's tag and length may take: two varints. */
const HEADER_BYTES = 20;
const WINDOW_BYTES = 1 << 16;

/**
 * The inputs that an ONNX file declares, without loading it: everything but their declarations is skipped.
 * @throws ClipflowError INVALID_MODEL when the file is not an ONNX model.
 */
export async function readGraphInputs(path: string): Promise<GraphValue[]> {
  const file = await open(path);
  try {
    const reader = new FieldReader(file);
    const { size } = await file.stat();
    const inputs: GraphValue[] = [];
    const initializers = new Set<string>();
    for await (const graph of reader.fields(0, size)) {
      if (graph.number !== MODEL_GRAPH) continue;
      for await (const field of reader.fields(graph.start, graph.end)) {
        if (field.number === GRAPH_INPUT) inputs.push(decodeValue(await reader.bytes(field.start, field.end)));
        if (field.number !== GRAPH_INITIALIZER) continue;
        for await (const part of reader.fields(field.start, field.end)) {
          if (part.number === INITIALIZER_NAME)
            initializers.add(Buffer.from(await reader.bytes(part.start, part.end)).toString());
        }
      }
    }
    // Before IR version 4 a graph lists its weights among its inputs.
    const fed = inputs.filter(({ name }) => !initializers.has(name));
    if (fed.length === 0) throw new RangeError('it has no graph with inputs');
    return fed;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ClipflowError('INVALID_MODEL', `${path} is not an ONNX model: ${reason}. Download or export it again.`, {
      cause: error,
    });
  } finally {
    await file.close();
  }
}

/** A ValueInfoProto: {1 name, 2 type: {1 tensor_type: {1 elem_type, 2 shape: {1 dim: [{1 dim_value} or {2 dim_param}]}}}}. */
function decodeValue(bytes: Uint8Array): GraphValue {
  let name = '';
  let type = 'unknown';
  const shape: (number | string)[] = [];
  const dimension = (reader: BinaryReader) => {
    let size: number | string = '';
    decode(reader.bytes(), { 1: (r) => (size = Number(r.int64())), 2: (r) => (size = r.string()) });
    shape.push(size);
  };
  const tensor = (reader: BinaryReader) =>
    decode(reader.bytes(), {
      1: (r) => (type = ELEMENT_TYPES[r.int32()] ?? type),
      2: (r) => decode(r.bytes(), { 1: dimension }),
    });
  decode(bytes, { 1: (r) => (name = r.string()), 2: (r) => decode(r.bytes(), { 1: tensor }) });
  return { name, type, shape };
}

/** Calls the handler of each field that has one and skips the others. */
function decode(bytes: Uint8Array, handlers: Record<number, (reader: BinaryReader) => void>): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const handler = handlers[number];
    if (handler === undefined) reader.skip(wireType, number);
    else handler(reader);
  }
}

/** A field of a protobuf message: where its content lies in the file. */
interface Field {
  number: number;
  start: number;
  end: number;
}

/** Walks a protobuf message in a file by its lengths, through a window, so that gigabytes of weights are not read. */
class FieldReader {
  #window = Buffer.alloc(0);
  #offset = 0;

  constructor(private readonly file: FileHandle) {}

  async *fields(start: number, end: number): AsyncGenerator<Field> {
    for (let position = start; position < end;) {
      const header = new BinaryReader(await this.bytes(position, Math.min(position + HEADER_BYTES, end)));
      const [number, wireType] = header.tag();
      if (wireType !== WireType.LengthDelimited) {
        header.skip(wireType, number);
        position += header.pos;
        continue;
      }
      const length = header.uint32();
      const field = { number, start: position + header.pos, end: position + header.pos + length };
      if (field.end > end) throw new RangeError(`it ends at byte ${end}, within a field that goes to ${field.end}`);
      yield field;
      position = field.end;
    }
  }

  async bytes(start: number, end: number): Promise<Uint8Array> {
    if (start < this.#offset || end > this.#offset + this.#window.length) {
      const window = Buffer.alloc(Math.max(WINDOW_BYTES, end - start));
      const { bytesRead } = await this.file.read(window, 0, window.length, start);
      this.#window = window.subarray(0, bytesRead);
      this.#offset = start;
    }
    return this.#window.subarray(start - this.#offset, end - this.#offset);
  }
}
