import { BYTES, decoding, FieldCursor, tagOf } from './wire.js';

/** `docs` of DocumentArrayProto (docarray 0.21): the array is nothing but documents, each behind this tag and its length. */
const DOCS = tagOf(1, BYTES);

/**
 * Views of each DocumentProto in the bytes of a DocumentArrayProto, which are not decoded.
 *
 * @throws ClipflowError INVALID_REQUEST when the bytes are cut or are no such message.
 */
export function splitDocuments(array: Uint8Array): Uint8Array[] {
  return decoding('INVALID_REQUEST', 'DocumentArrayProto', () => {
    const docs: Uint8Array[] = [];
    for (const field = new FieldCursor(array); field.next();) if (field.tag === DOCS) docs.push(field.payload());
    return docs;
  });
}

/** Bytes that `writeDocuments` writes. */
export function joinedLength(docs: readonly Uint8Array[]): number {
  return docs.reduce((length, doc) => length + framedLength(doc.length), 0);
}

/** Bytes of a field of `length` bytes with its tag (of a field up to 15) and its length before it. */
export function framedLength(length: number): number {
  let framed = 2 + length;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) framed++;
  return framed;
}

/** Writes the DocumentArrayProto of these documents from `at` on. */
export function writeDocuments(into: Uint8Array, at: number, docs: readonly Uint8Array[]): void {
  for (const doc of docs) {
    into[at++] = DOCS;
    let rest = doc.length;
    for (; rest > 0x7f; rest >>>= 7) into[at++] = (rest & 0x7f) | 0x80;
    into[at++] = rest;
    into.set(doc, at);
    at += doc.length;
  }
}
