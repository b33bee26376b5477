import type { BinaryWriter } from '@bufbuild/protobuf/wire';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { JsonObject } from '../json.js';
import { readNdArray, writeNdArray, type NdArray } from './ndarray.js';
import { readStruct, writeStruct } from './struct.js';
import { BYTES, FieldCursor, FIXED32, merged, readText, tagOf, VARINT } from './wire.js';

/** NamedScoreProto of docarray 0.21. What was read has every property. */
export interface NamedScore {
  value: number;
  opName?: string;
  description?: string;
  refId?: string;
}

/** How one field of DocumentProto is read and written. */
export interface Field<T> {
  readonly name: string;
  /** Tags under which it is recognised. */
  readonly tags: readonly number[];
  /** Whether the caller can change what was read in place, so that it has to be written again. */
  readonly mutable: boolean;
  /** The value of the payloads of all occurrences, in wire order; of none, the default. */
  decode(payloads: readonly Uint8Array[]): T;
  /** Writes tag and value; nothing for the default. */
  encode(writer: BinaryWriter, value: T): void;
}

export function textField(no: number, name: string): Field<string> {
  const tag = tagOf(no, BYTES);
  return {
    name,
    tags: [tag],
    mutable: false,
    decode: (found) => lastOf(found, readText) ?? '',
    encode: (writer, value) => void (value !== '' && writer.uint32(tag).string(value)),
  };
}

/** A text whose presence counts: absent is undefined, present may be empty. */
export function presentTextField(no: number, name: string): Field<string | undefined> {
  const tag = tagOf(no, BYTES);
  return {
    name,
    tags: [tag],
    mutable: false,
    decode: (found) => lastOf(found, readText),
    encode: (writer, value) => void (value !== undefined && writer.uint32(tag).string(value)),
  };
}

export function presentBytesField(no: number, name: string): Field<Uint8Array | undefined> {
  const tag = tagOf(no, BYTES);
  return {
    name,
    tags: [tag],
    mutable: false,
    decode: (found) => found.at(-1),
    encode: (writer, value) => void (value !== undefined && writer.uint32(tag).bytes(value)),
  };
}

export function uint32Field(no: number, name: string): Field<number> {
  const tag = tagOf(no, VARINT);
  return {
    name,
    tags: [tag],
    mutable: false,
    decode: (found) => lastOf(found, (payload) => new BinaryReader(payload).uint32()) ?? 0,
    encode: (writer, value) => void (value !== 0 && writer.uint32(tag).uint32(value)),
  };
}

export function floatField(no: number, name: string): Field<number> {
  const tag = tagOf(no, FIXED32);
  return {
    name,
    tags: [tag],
    mutable: false,
    decode: (found) => lastOf(found, readFloat) ?? 0,
    // Only +0 is the default: -0 is written, as by every protobuf runtime.
    encode: (writer, value) => void (!Object.is(value, 0) && writer.uint32(tag).float(value)),
  };
}

/** Repeated floats: written packed, read packed or one by one. */
export function floatsField(no: number, name: string): Field<number[]> {
  const packed = tagOf(no, BYTES);
  return {
    name,
    tags: [packed, tagOf(no, FIXED32)],
    mutable: true,
    decode: (found) => {
      const reader = new BinaryReader(merged(found));
      if (reader.len % 4 !== 0) throw new Error(`has ${reader.len} bytes, which are not whole floats`);
      return Array.from({ length: reader.len / 4 }, () => reader.float());
    },
    encode: (writer, value) => {
      if (value.length === 0) return;
      writer.uint32(packed).uint32(value.length * 4);
      for (const number of value) writer.float(number);
    },
  };
}

export function ndArrayField(no: number, name: string): Field<NdArray | undefined> {
  const tag = tagOf(no, BYTES);
  return {
    name,
    tags: [tag],
    mutable: false,
    decode: (found) => (found.length === 0 ? undefined : readNdArray(merged(found))),
    encode: (writer, value) => void (value !== undefined && writeNdArray(writer, tag, value)),
  };
}

export function structField(no: number, name: string): Field<JsonObject> {
  const tag = tagOf(no, BYTES);
  return {
    name,
    tags: [tag],
    mutable: true,
    decode: (found) => (found.length === 0 ? {} : readStruct(merged(found))),
    encode: (writer, value) => void (Object.keys(value).length > 0 && writer.uint32(tag).bytes(writeStruct(value))),
  };
}

/** `map<string, NamedScoreProto>`: on the wire, entries of key (1) and value (2). */
export function scoresField(no: number, name: string): Field<Record<string, NamedScore>> {
  const tag = tagOf(no, BYTES);
  return {
    name,
    tags: [tag],
    mutable: true,
    // fromEntries defines own properties: a key '__proto__' is a key like any other.
    decode: (found) => Object.fromEntries(found.map(readScoreEntry)),
    encode: (writer, scores) => {
      for (const [key, score] of Object.entries(scores)) {
        writer.uint32(tag).fork();
        writer.uint32(ENTRY_KEY).string(key).uint32(ENTRY_VALUE).fork();
        for (const [property, field] of SCORE_TEXTS) field.encode(writer, score[property] ?? '');
        SCORE_VALUE.encode(writer, score.value);
        writer.join().join();
      }
    },
  };
}

const ENTRY_KEY = tagOf(1, BYTES);
const ENTRY_VALUE = tagOf(2, BYTES);
const SCORE_VALUE = floatField(1, 'value');
const SCORE_TEXTS = [
  ['opName', textField(2, 'op_name')],
  ['description', textField(3, 'description')],
  ['refId', textField(4, 'ref_id')],
] as const;

function readScoreEntry(entry: Uint8Array): [string, NamedScore] {
  let key = '';
  const score: Required<NamedScore> = { value: 0, opName: '', description: '', refId: '' };
  for (const field = new FieldCursor(entry); field.next();) {
    if (field.tag === ENTRY_KEY) key = field.text();
    else if (field.tag === ENTRY_VALUE) readScore(field.payload(), score);
  }
  return [key, score];
}

function readScore(payload: Uint8Array, into: Required<NamedScore>): void {
  for (const field = new FieldCursor(payload); field.next();) {
    if (SCORE_VALUE.tags.includes(field.tag)) into.value = readFloat(field.payload());
    for (const [property, { tags }] of SCORE_TEXTS) if (tags.includes(field.tag)) into[property] = field.text();
  }
}

function readFloat(payload: Uint8Array): number {
  return new BinaryReader(payload).float();
}

function lastOf<T>(found: readonly Uint8Array[], read: (payload: Uint8Array) => T): T | undefined {
  const last = found.at(-1);
  return last && read(last);
}
