import { isUtf8 } from 'node:buffer';
import { BinaryReader, type WireType } from '@bufbuild/protobuf/wire';
import { ClipflowError, type ErrorCode } from '../errors.js';

/** Numbers of WireType as plain constants: the enum's members would not fold into the tables built with them. */
export const VARINT = 0 satisfies WireType;
export const FIXED64 = 1 satisfies WireType;
export const BYTES = 2 satisfies WireType;
export const FIXED32 = 5 satisfies WireType;
const START_GROUP = 3 satisfies WireType;
const END_GROUP = 4 satisfies WireType;

/** What protobuf implementations allow: deeper nesting is an attack on the stack. */
export const MAX_NESTING = 100;

export const EMPTY = new Uint8Array(0);

export function tagOf(field: number, wireType: WireType): number {
  return ((field << 3) | wireType) >>> 0;
}

/** A view, always a plain Uint8Array: a Buffer's own `subarray` would hand out Buffers. */
export function slice(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A field of message type that occurs twice is merged, which is what decoding its payloads as one means. */
export function merged(payloads: readonly Uint8Array[]): Uint8Array {
  return payloads.length === 1 && payloads[0] ? payloads[0] : concat(payloads);
}

/** Runs `read`; whatever it throws becomes a ClipflowError that names `what` was being read. */
export function decoding<T>(code: ErrorCode, what: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof ClipflowError) throw thrown;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new ClipflowError(code, `${what}: ${reason}`, { cause: thrown });
  }
}

/**
 * Steps over the fields of one protobuf message without decoding or allocating:
 *
 *     for (const field = new FieldCursor(bytes); field.next(); ) if (field.tag === TEXT) use(field.payload());
 *
 * Throws a plain Error that says at which byte the message is malformed; callers wrap it with `decoding`.
 */
export class FieldCursor {
  /** Field number and wire type as on the wire: `number << 3 | type`. */
  tag = 0;
  /** First byte of the tag. */
  start = 0;
  /** First byte of the value, behind the length if it has one. */
  value = 0;
  /** First byte behind the value. */
  end = 0;

  constructor(readonly bytes: Uint8Array) {}

  next(): boolean {
    if (this.end >= this.bytes.length) return false;
    this.start = this.end;
    this.tag = 0;
    this.tag = this.#varint();
    if (this.tag >>> 3 === 0) this.#fail('has a field of number 0');
    this.value = this.end;
    this.#skip(this.tag & 7, 0);
    return true;
  }

  payload(): Uint8Array {
    return slice(this.bytes, this.value, this.end);
  }

  text(): string {
    return readText(this.payload());
  }

  uint32(): number {
    return new BinaryReader(this.payload()).uint32();
  }

  #skip(wireType: number, depth: number): void {
    switch (wireType) {
      case VARINT:
        this.#varint();
        break;
      case FIXED64:
        this.end += 8;
        break;
      case BYTES: {
        const length = this.#varint();
        this.value = this.end;
        this.end += length;
        break;
      }
      case FIXED32:
        this.end += 4;
        break;
      case START_GROUP:
        this.#skipGroup(depth + 1);
        break;
      default:
        this.#fail(`has the unexpected wire type ${wireType}`);
    }
    if (this.end > this.bytes.length) this.#fail('is cut short');
  }

  #skipGroup(depth: number): void {
    if (depth > MAX_NESTING) this.#fail('nests groups too deep');
    const { tag, value } = this;
    for (;;) {
      const inner = this.#varint();
      if (inner === tagOf(tag >>> 3, END_GROUP)) break;
      this.tag = inner;
      this.#skip(inner & 7, depth);
    }
    this.tag = tag;
    this.value = value;
  }

  /** The low 32 bits of a varint of at most 10 bytes. */
  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.bytes[this.end++];
      if (byte === undefined) return this.#fail('is cut short');
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    return this.#fail('has a varint of more than 10 bytes');
  }

  #fail(reason: string): never {
    const field = this.tag >>> 3;
    throw new Error(`${reason} at byte ${this.start} of ${this.bytes.length}${field ? ` (field ${field})` : ''}`);
  }
}

/** Strict: protobuf strings are UTF-8, and the Python client refuses a whole message that has one that isn't. */
export function readText(payload: Uint8Array): string {
  if (!isUtf8(payload)) throw new Error('is not valid UTF-8');
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8');
}
