import { BYTES, decoding, FieldCursor, tagOf } from './wire.js';

/** What a document's content is; `uri` only where there is none beside it. */
export type ContentKind = 'text' | 'blob' | 'tensor' | 'uri' | 'none';

/** Field numbers of DocumentProto that decide its kind. */
const ID = tagOf(1, BYTES);
const BLOB = tagOf(2, BYTES);
const TENSOR = tagOf(3, BYTES);
const TEXT = tagOf(4, BYTES);
const URI = tagOf(9, BYTES);

/**
 * Id and kind of a DocumentProto, without decoding the rest. An empty text counts as no content, an empty blob counts.
 *
 * @throws ClipflowError INVALID_DOCUMENT when the bytes are cut or are no such message.
 */
export function peek(bytes: Uint8Array): { id: string; kind: ContentKind } {
  return decoding('INVALID_DOCUMENT', 'DocumentProto', () => {
    let id = '';
    let kind: ContentKind = 'none';
    let hasUri = false;
    for (const field = new FieldCursor(bytes); field.next();) {
      // Of the content fields the last one counts: they are a oneof.
      if (field.tag === ID) id = field.text();
      else if (field.tag === BLOB) kind = 'blob';
      else if (field.tag === TENSOR) kind = 'tensor';
      else if (field.tag === TEXT) kind = field.end > field.value ? 'text' : 'none';
      else if (field.tag === URI) hasUri = field.end > field.value;
    }
    return { id, kind: kind === 'none' && hasUri ? 'uri' : kind };
  });
}
