import { fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import type { JsonObject } from '../json.js';
import { EMPTY } from './wire.js';

/** Decodes a google.protobuf.Struct; throws a plain Error when it is malformed or nested too deep. */
export function readStruct(payload: Uint8Array): JsonObject {
  return toJson(StructSchema, fromBinary(StructSchema, payload));
}

/** Encodes a google.protobuf.Struct: numbers become doubles. Throws a plain Error for what is no JSON or too deep. */
export function writeStruct(value: JsonObject): Uint8Array {
  if (Object.keys(value).length === 0) return EMPTY; // Most requests have no parameters.
  return toBinary(StructSchema, fromJson(StructSchema, value));
}
