import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { BYTES, FieldCursor, merged, tagOf, VARINT } from './wire.js';

/** StatusProto of jina 3.15; absent in a header or route means success. */
export interface Status {
  /** 0 success, 1 error. */
  code: number;
  /** Python's `repr` of the exception, or any text. */
  description: string;
  exception?: StatusException;
}

export interface StatusException {
  name: string;
  args: string[];
  stacks: string[];
  executor: string;
}

const CODE = tagOf(1, VARINT);
const DESCRIPTION = tagOf(2, BYTES);
const EXCEPTION = tagOf(3, BYTES);

const NAME = tagOf(1, BYTES);
const ARGS = tagOf(2, BYTES);
const STACKS = tagOf(3, BYTES);
const EXECUTOR = tagOf(4, BYTES);

const SECONDS = tagOf(1, VARINT);
const NANOS = tagOf(2, VARINT);

/** Last millisecond that a JavaScript Date can hold. */
const MAX_TIME = 8.64e15;

export function readStatus(payload: Uint8Array): Status {
  const status: Status = { code: 0, description: '' };
  const exceptions: Uint8Array[] = [];
  for (const field = new FieldCursor(payload); field.next();) {
    if (field.tag === CODE) status.code = field.uint32();
    else if (field.tag === DESCRIPTION) status.description = field.text();
    else if (field.tag === EXCEPTION) exceptions.push(field.payload());
  }
  if (exceptions.length > 0) status.exception = readException(merged(exceptions));
  return status;
}

function readException(payload: Uint8Array): StatusException {
  const exception: StatusException = { name: '', args: [], stacks: [], executor: '' };
  for (const field = new FieldCursor(payload); field.next();) {
    if (field.tag === NAME) exception.name = field.text();
    else if (field.tag === ARGS) exception.args.push(field.text());
    else if (field.tag === STACKS) exception.stacks.push(field.text());
    else if (field.tag === EXECUTOR) exception.executor = field.text();
  }
  return exception;
}

/** Writes a StatusProto behind `tag`, with its length. */
export function writeStatus(writer: BinaryWriter, tag: number, status: Status): void {
  writer.uint32(tag).fork();
  writeStatusFields(writer, status);
  writer.join();
}

/** A StatusProto by itself. */
export function encodeStatus(status: Status): Uint8Array {
  const writer = new BinaryWriter();
  writeStatusFields(writer, status);
  return writer.finish();
}

function writeStatusFields(writer: BinaryWriter, status: Status): void {
  if (status.code !== 0) writer.uint32(CODE).uint32(status.code);
  if (status.description !== '') writer.uint32(DESCRIPTION).string(status.description);
  if (status.exception) {
    const { name, args, stacks, executor } = status.exception;
    writer.uint32(EXCEPTION).fork();
    if (name !== '') writer.uint32(NAME).string(name);
    for (const arg of args) writer.uint32(ARGS).string(arg);
    for (const stack of stacks) writer.uint32(STACKS).string(stack);
    if (executor !== '') writer.uint32(EXECUTOR).string(executor);
    writer.join();
  }
}

/** Decodes a google.protobuf.Timestamp to milliseconds since the epoch; a double keeps the microseconds. */
export function readTimestamp(payload: Uint8Array): number {
  let seconds = 0;
  let nanos = 0;
  for (const field = new FieldCursor(payload); field.next();) {
    if (field.tag === SECONDS) seconds = Number(new BinaryReader(field.payload()).int64());
    else if (field.tag === NANOS) nanos = new BinaryReader(field.payload()).int32();
  }
  const time = seconds * 1000 + nanos / 1e6;
  if (Math.abs(time) > MAX_TIME) throw new Error(`has a timestamp of ${seconds} seconds, which is no date`);
  return time;
}

/** Writes a google.protobuf.Timestamp behind `tag`, in whole microseconds as Python does. */
export function writeTimestamp(writer: BinaryWriter, tag: number, time: number): void {
  const micros = Math.round(time * 1000);
  const seconds = Math.floor(micros / 1e6);
  const nanos = (micros - seconds * 1e6) * 1000;
  writer.uint32(tag).fork();
  if (seconds !== 0) writer.uint32(SECONDS).int64(seconds);
  if (nanos !== 0) writer.uint32(NANOS).int32(nanos);
  writer.join();
}

/** RFC 3339 with microseconds, as Python's `isoformat` in UTC: 2026-11-23T11:37:15.957669+00:00. */
export function formatTime(time: number): string {
  const micros = Math.round(time * 1000);
  const millis = Math.floor(micros / 1000);
  const rest = String(micros - millis * 1000).padStart(3, '0');
  return `${new Date(millis).toISOString().slice(0, -1)}${rest}+00:00`;
}
