import type { Readable } from 'node:stream';
import { ClipflowError } from '../../errors.js';

export interface WriteOptions {
  /** @default no limit */
  maxBytes?: number;
}

/** Bytes from `start` on, up to but without `end`. */
export interface ByteRange {
  start?: number;
  end?: number;
}

export interface StoredFile {
  key: string;
  bytes: number;
}

/** Where jobs keep their files. Keys are names of [A-Za-z0-9._-] joined by '/'. A file appears whole or not at all. */
export interface FileStore {
  /** For logs, without credentials: `file:/path` or `s3://bucket/prefix`. */
  readonly location: string;
  /**
   * Writes or replaces a file; resolves with its size once it is durable.
   * @throws PAYLOAD_TOO_LARGE once more than `maxBytes` came; nothing is left of it then
   */
  write(key: string, content: AsyncIterable<Uint8Array>, options?: WriteOptions): Promise<number>;
  /** @throws NOT_FOUND when there is no such file */
  read(key: string, range?: ByteRange): Promise<Readable>;
  /** Bytes; undefined where there is no such file. */
  size(key: string): Promise<number | undefined>;
  /** All files whose key starts with `prefix`, in the order of their keys. */
  list(prefix: string): AsyncIterable<StoredFile>;
  /** A file, or everything below `key/`. None is no error. */
  remove(key: string): Promise<void>;
}

export interface OpenOptions {
  /** Nothing is written, and files may have any name. @default false */
  readOnly?: boolean;
}

/** @throws INVALID_REQUEST when the key could lead out of the store */
export function checkPath(key: string): string {
  const names = key.split('/');
  if (!key.includes('\0') && !names.some((name) => ['', '.', '..'].includes(name))) return key;
  throw new ClipflowError('INVALID_REQUEST', `"${key}" is no key of a file`);
}

/** @throws INVALID_REQUEST when a store might not take the key */
export function checkKey(key: string): string {
  const names = key.split('/');
  if (names.every((name) => /^[\w.-]+$/.test(name) && !/^\.+$/.test(name))) return key;
  throw new ClipflowError('INVALID_REQUEST', `"${key}" is no key of a file: expected letters, digits, . _ - and /`);
}

/** @throws INVALID_REQUEST when what stands before the last slash could lead out of the store */
export function checkPrefix(prefix: string): string {
  const slash = prefix.lastIndexOf('/');
  if (slash >= 0) checkPath(prefix.slice(0, slash));
  return prefix;
}

/** Passes a content on, and counts its bytes. */
export class MeasuredContent {
  bytes = 0;

  constructor(
    private readonly key: string,
    private readonly content: AsyncIterable<Uint8Array>,
    private readonly maxBytes: number,
  ) {}

  /** @throws PAYLOAD_TOO_LARGE once there are more than `maxBytes` */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for await (const piece of this.content) {
      this.bytes += piece.byteLength;
      if (this.bytes > this.maxBytes) throw tooLarge(this.key, this.maxBytes);
      yield piece;
    }
  }
}

function tooLarge(key: string, maxBytes: number): ClipflowError {
  return new ClipflowError('PAYLOAD_TOO_LARGE', `${key} has more than ${maxBytes} bytes (jobs.file_bytes)`);
}

export function noSuchFile(key: string, cause?: unknown): ClipflowError {
  return new ClipflowError('NOT_FOUND', `there is no file ${key}`, { cause });
}
