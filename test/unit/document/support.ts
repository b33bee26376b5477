import { readdirSync, readFileSync } from 'node:fs';
import { createFileRegistry, fromBinary, fromJson, toBinary, toJson, type JsonValue } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import type { JsonObject } from '../../../src/json.js';
import { NdArray } from '../../../src/document/ndarray.js';

const FIXTURES = new URL('../../../../test/fixtures/', import.meta.url);

export function fixture(path: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(path, FIXTURES)));
}

export function fixtureNames(folder: string, pattern: RegExp): string[] {
  return readdirSync(new URL(folder, FIXTURES)).filter((name) => pattern.test(name));
}

export function jsonFixture(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, FIXTURES), 'utf8'));
}

/** The body of a recorded HTTP message. */
export function httpBody(name: string): unknown {
  const message = readFileSync(new URL(`wire/http/${name}`, FIXTURES), 'utf8');
  return JSON.parse(message.slice(message.search(/\r?\n\r?\n/)));
}

/**
 * The oracle: protobuf-es reading the peer's own .proto files by reflection. Knows nothing of the codecs under test.
 * Descriptors: `protoc --include_imports --descriptor_set_out=descriptors.binpb jina.proto docarray.proto`.
 */
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, fixture('wire/descriptors.binpb')));

function schema(name: string) {
  const found = registry.getMessage(name);
  if (!found) throw new Error(`no message ${name} in descriptors.binpb`);
  return found;
}

/** A message as protobuf's canonical JSON, which shows presence; keys as in the .proto. */
export function oracleDecode(name: string, bytes: Uint8Array): JsonValue {
  return toJson(schema(name), fromBinary(schema(name), bytes), { useProtoFieldName: true });
}

export function oracleEncode(name: string, json: JsonValue): Uint8Array {
  return toBinary(schema(name), fromJson(schema(name), json));
}

export const DOCUMENT = 'docarray.DocumentProto';
export const ARRAY = 'docarray.DocumentArrayProto';
export const REQUEST = 'jina.DataRequestProto';

const text = fc.string({ unit: 'binary', maxLength: 40 });
const key = fc.string({ minLength: 1, maxLength: 8 }).filter((name) => name !== '__proto__');
const float = fc.float({ noNaN: true, noDefaultInfinity: true });
const uint32 = fc.integer({ min: 0, max: 0xffffffff });

export const ndArrays = fc
  .array(float, { maxLength: 8 })
  .map((values) => NdArray.fromFloat32(Float32Array.from(values), [1, values.length]));

export const tags: fc.Arbitrary<JsonObject> = fc.dictionary(
  key,
  fc.jsonValue({ maxDepth: 3 }).filter((value) => !JSON.stringify(value).includes('__proto__')),
  { maxKeys: 4, noNullPrototype: true },
) as fc.Arbitrary<JsonObject>;

const scores = fc.dictionary(
  key,
  fc.record({ value: float, opName: text, description: text, refId: text }, { noNullPrototype: true }),
  {
    maxKeys: 3,
    noNullPrototype: true,
  },
);

/** Values of every property beside the content and the nested documents. */
export const plainInit = fc.record(
  {
    id: text,
    granularity: uint32,
    adjacency: uint32,
    parentId: text,
    weight: float,
    uri: text,
    modality: text,
    mimeType: text,
    offset: float,
    location: fc.array(float, { maxLength: 4 }),
    embedding: ndArrays,
    tags,
    scores,
    evaluations: scores,
  },
  { requiredKeys: [], noNullPrototype: true },
);

export const content = fc.oneof(
  fc.record({ text }),
  fc.record({ blob: fc.uint8Array({ maxLength: 300 }) }),
  fc.record({ tensor: ndArrays }),
  fc.constant({}),
);
