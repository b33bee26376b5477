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

/** Tag and length, which stand before a document's bytes in a DocumentArrayProto. */
export function frameDocument(doc: Uint8Array): Uint8Array {
  const frame = new Uint8Array(frameLength(doc));
  writeFrame(frame, 0, doc);
  return frame;
}

/** The bytes of a DocumentArrayProto of these documents. */
export function joinDocuments(docs: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const doc of docs) length += frameLength(doc) + doc.length;
  const array = new Uint8Array(length);
  let at = 0;
  for (const doc of docs) {
    at = writeFrame(array, at, doc);
    array.set(doc, at);
    at += doc.length;
  }
  return array;
}

/** As `joinDocuments`, in parts for a writer that gathers: frames and the documents themselves, not copied. */
export function joinDocumentsParts(docs: readonly Uint8Array[]): Uint8Array[] {
  return docs.flatMap((doc) => [frameDocument(doc), doc]);
}

function frameLength(doc: Uint8Array): number {
  let length = 2;
  for (let rest = doc.length >>> 7; rest > 0; rest >>>= 7) length++;
  return length;
}

function writeFrame(into: Uint8Array, at: number, doc: Uint8Array): number {
  into[at++] = DOCS;
  let rest = doc.length;
  for (; rest > 0x7f; rest >>>= 7) into[at++] = (rest & 0x7f) | 0x80;
  into[at++] = rest;
  return at;
}
