import { randomUUID } from 'node:crypto';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { JsonObject } from '../json.js';
import {
  floatField,
  floatsField,
  ndArrayField,
  presentBytesField,
  presentTextField,
  scoresField,
  structField,
  textField,
  uint32Field,
  type Field,
  type NamedScore,
} from './fields.js';
import type { NdArray } from './ndarray.js';
import type { ContentKind } from './peek.js';
import { BYTES, concat, decoding, EMPTY, FieldCursor, slice, tagOf } from './wire.js';

/** DocumentProto of docarray 0.21 (docarray.proto). Its `_metadata` (20) is carried along unread. */
const ID = textField(1, 'id');
const BLOB = presentBytesField(2, 'blob');
const TENSOR = ndArrayField(3, 'tensor');
const TEXT = presentTextField(4, 'text');
const GRANULARITY = uint32Field(5, 'granularity');
const ADJACENCY = uint32Field(6, 'adjacency');
const PARENT_ID = textField(7, 'parent_id');
const WEIGHT = floatField(8, 'weight');
const URI = textField(9, 'uri');
const MODALITY = textField(10, 'modality');
const MIME_TYPE = textField(11, 'mime_type');
const OFFSET = floatField(12, 'offset');
const LOCATION = floatsField(13, 'location');
const CHUNKS = documentsField(14, 'chunks');
const MATCHES = documentsField(15, 'matches');
const EMBEDDING = ndArrayField(16, 'embedding');
const TAGS = structField(17, 'tags');
const SCORES = scoresField(18, 'scores');
const EVALUATIONS = scoresField(19, 'evaluations');

/** The oneof: a document has at most one of them. */
const CONTENT: readonly Field<unknown>[] = [BLOB, TENSOR, TEXT];
const CONTENT_TAGS: readonly number[] = CONTENT.flatMap((field) => field.tags);

/** Marks an occurrence of a content field that a later one of another kind replaced; no field has this tag. */
const REPLACED = 0;

interface Span {
  tag: number;
  start: number;
  value: number;
  end: number;
}

/** Tells the constructor to set nothing, not even an id. */
const FROM_BYTES = {};

export type DocumentInit = Partial<Omit<Document, 'contentKind' | 'toBytes'>>;

/**
 * A document: text, image bytes or a tensor, and what belongs to it. One that came as bytes is decoded lazily, each
 * property when it is read, and `toBytes` copies what was not changed as it came, unknown fields too.
 *
 * Reading a property or `toBytes` throws ClipflowError INVALID_DOCUMENT when its bytes, or the value set, are malformed.
 */
export class Document {
  #bytes: Uint8Array = EMPTY;
  #spans: Span[] | undefined;
  /** Values that were read or set. */
  readonly #values = new Map<Field<unknown>, unknown>();
  /** Fields that were set, or read and can be changed in place. */
  readonly #touched = new Set<Field<unknown>>();

  /** An id of 32 hex digits is generated unless `init` has one. */
  constructor(init: DocumentInit = {}) {
    if (init === FROM_BYTES) return;
    this.id = init.id ?? newId();
    Object.assign(this, init);
  }

  /** The document that a DocumentProto holds. Keeps `bytes`, which must not change any more. */
  static fromBytes(bytes: Uint8Array): Document {
    const document = new Document(FROM_BYTES);
    document.#bytes = bytes;
    return document;
  }

  /** The DocumentProto: the very bytes it came as when nothing was changed. */
  toBytes(): Uint8Array {
    const changes = new Map<Field<unknown>, Uint8Array>();
    for (const field of this.#touched) {
      const encoded = encode(field, this.#values.get(field));
      if (!this.#came(field, encoded)) changes.set(field, encoded);
    }
    if (changes.size === 0) return this.#bytes;
    const changed = new Set([...changes.keys()].flatMap((field) => field.tags)).add(REPLACED);
    const kept = this.#scan().filter((span) => !changed.has(span.tag));
    return concat([...kept.map((span) => slice(this.#bytes, span.start, span.end)), ...changes.values()]);
  }

  /** What the content is. An empty text counts as none, an empty blob counts; `uri` only without content beside it. */
  get contentKind(): ContentKind {
    if (this.#has(BLOB)) return 'blob';
    if (this.#has(TENSOR)) return 'tensor';
    if (this.text) return 'text';
    return this.uri === '' ? 'none' : 'uri';
  }

  get id(): string {
    return this.#read(ID);
  }
  set id(value: string) {
    this.#write(ID, value);
  }

  /** undefined when absent; setting one of text, blob and tensor clears the two others. */
  get text(): string | undefined {
    return this.#read(TEXT);
  }
  set text(value: string | undefined) {
    this.#writeContent(TEXT, value);
  }

  /** A view of the bytes that the document came as, not a copy. */
  get blob(): Uint8Array | undefined {
    return this.#read(BLOB);
  }
  set blob(value: Uint8Array | undefined) {
    this.#writeContent(BLOB, value);
  }

  get tensor(): NdArray | undefined {
    return this.#read(TENSOR);
  }
  set tensor(value: NdArray | undefined) {
    this.#writeContent(TENSOR, value);
  }

  get embedding(): NdArray | undefined {
    return this.#read(EMBEDDING);
  }
  set embedding(value: NdArray | undefined) {
    this.#write(EMBEDDING, value);
  }

  get uri(): string {
    return this.#read(URI);
  }
  set uri(value: string) {
    this.#write(URI, value);
  }

  get mimeType(): string {
    return this.#read(MIME_TYPE);
  }
  set mimeType(value: string) {
    this.#write(MIME_TYPE, value);
  }

  get modality(): string {
    return this.#read(MODALITY);
  }
  set modality(value: string) {
    this.#write(MODALITY, value);
  }

  get parentId(): string {
    return this.#read(PARENT_ID);
  }
  set parentId(value: string) {
    this.#write(PARENT_ID, value);
  }

  /** Depth among chunks. */
  get granularity(): number {
    return this.#read(GRANULARITY);
  }
  set granularity(value: number) {
    this.#write(GRANULARITY, value);
  }

  /** Depth among matches. */
  get adjacency(): number {
    return this.#read(ADJACENCY);
  }
  set adjacency(value: number) {
    this.#write(ADJACENCY, value);
  }

  get weight(): number {
    return this.#read(WEIGHT);
  }
  set weight(value: number) {
    this.#write(WEIGHT, value);
  }

  get offset(): number {
    return this.#read(OFFSET);
  }
  set offset(value: number) {
    this.#write(OFFSET, value);
  }

  get location(): number[] {
    return this.#read(LOCATION);
  }
  set location(value: number[]) {
    this.#write(LOCATION, value);
  }

  get chunks(): Document[] {
    return this.#read(CHUNKS);
  }
  set chunks(value: Document[]) {
    this.#write(CHUNKS, value);
  }

  get matches(): Document[] {
    return this.#read(MATCHES);
  }
  set matches(value: Document[]) {
    this.#write(MATCHES, value);
  }

  get tags(): JsonObject {
    return this.#read(TAGS);
  }
  set tags(value: JsonObject) {
    this.#write(TAGS, value);
  }

  get scores(): Record<string, NamedScore> {
    return this.#read(SCORES);
  }
  set scores(value: Record<string, NamedScore>) {
    this.#write(SCORES, value);
  }

  get evaluations(): Record<string, NamedScore> {
    return this.#read(EVALUATIONS);
  }
  set evaluations(value: Record<string, NamedScore>) {
    this.#write(EVALUATIONS, value);
  }

  #read<T>(field: Field<T>): T {
    if (this.#values.has(field)) return this.#values.get(field) as T;
    const found = this.#find(field).map((span) => slice(this.#bytes, span.value, span.end));
    const value = decoding('INVALID_DOCUMENT', `DocumentProto.${field.name}`, () => field.decode(found));
    this.#values.set(field, value);
    if (field.mutable) this.#touched.add(field);
    return value;
  }

  #write<T>(field: Field<T>, value: T): void {
    this.#values.set(field, value);
    this.#touched.add(field);
  }

  #writeContent<T>(field: Field<T | undefined>, value: T | undefined): void {
    if (value !== undefined) for (const other of CONTENT) this.#write(other, undefined);
    this.#write(field, value);
  }

  #has(field: Field<unknown>): boolean {
    return this.#values.has(field) ? this.#values.get(field) !== undefined : this.#find(field).length > 0;
  }

  #find(field: Field<unknown>): Span[] {
    return this.#scan().filter((span) => field.tags.includes(span.tag));
  }

  /** Whether `encoded` is how the field came, tags and lengths included. */
  #came(field: Field<unknown>, encoded: Uint8Array): boolean {
    let at = 0;
    for (const { start, end } of this.#find(field)) {
      const came = slice(this.#bytes, start, end);
      if (Buffer.compare(came, encoded.subarray(at, (at += came.length))) !== 0) return false;
    }
    return at === encoded.length;
  }

  #scan(): Span[] {
    return (this.#spans ??= decoding('INVALID_DOCUMENT', 'DocumentProto', () => scan(this.#bytes)));
  }
}

function scan(bytes: Uint8Array): Span[] {
  const spans: Span[] = [];
  let content: Span[] = [];
  for (const field = new FieldCursor(bytes); field.next();) {
    const span = { tag: field.tag, start: field.start, value: field.value, end: field.end };
    spans.push(span);
    if (!CONTENT_TAGS.includes(span.tag)) continue;
    if (content[0] && content[0].tag !== span.tag) {
      for (const replaced of content) replaced.tag = REPLACED;
      content = [];
    }
    content.push(span);
  }
  return spans;
}

function encode(field: Field<unknown>, value: unknown): Uint8Array {
  const writer = new BinaryWriter();
  decoding('INVALID_DOCUMENT', `Document.${field.name}`, () => field.encode(writer, value));
  return writer.finish();
}

function documentsField(no: number, name: string): Field<Document[]> {
  const tag = tagOf(no, BYTES);
  return {
    name,
    tags: [tag],
    mutable: true,
    decode: (found) => found.map((payload) => Document.fromBytes(payload)),
    encode: (writer, documents) => {
      for (const document of documents) writer.uint32(tag).bytes(document.toBytes());
    },
  };
}

/** 16 random bytes in hex, the form of docarray's ids. */
function newId(): string {
  return randomUUID().replaceAll('-', '');
}
