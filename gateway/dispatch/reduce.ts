import { Document } from '../../src/document/document.js';

/** What a branch may have added to a document; its id and content are what all branches started from. */
function fillFrom(target: Document, other: Document): void {
  if (target.contentKind === 'none' || target.contentKind === 'uri') {
    if (other.text) target.text = other.text;
    else if (other.blob) target.blob = other.blob;
    else if (other.tensor) target.tensor = other.tensor;
  }
  if (!target.embedding && other.embedding) target.embedding = other.embedding;
  target.uri ||= other.uri;
  target.mimeType ||= other.mimeType;
  target.modality ||= other.modality;
  target.parentId ||= other.parentId;
  target.weight ||= other.weight;
  target.offset ||= other.offset;
  if (target.location.length === 0) target.location = other.location;
  if (Object.keys(target.tags).length === 0) target.tags = other.tags;
  if (Object.keys(target.scores).length === 0) target.scores = other.scores;
  if (Object.keys(target.evaluations).length === 0) target.evaluations = other.evaluations;
  if (other.matches.length > 0) target.matches = mergeById(target.matches, other.matches);
  if (other.chunks.length > 0) target.chunks = mergeById(target.chunks, other.chunks);
}

function mergeById(ours: Document[], theirs: Document[]): Document[] {
  const merged = new Map(ours.map((doc) => [doc.id, doc]));
  for (const doc of theirs) {
    const known = merged.get(doc.id);
    if (known) fillFrom(known, doc);
    else merged.set(doc.id, doc);
  }
  return [...merged.values()];
}

/**
 * Joins what two branches made of the same document, as DocArray's `reduce` does: a field that the first has not set is
 * taken from the second; matches and chunks are merged by their ids.
 */
export function reduceDocuments(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (Buffer.compare(first, second) === 0) return first;
  const target = Document.fromBytes(first);
  fillFrom(target, Document.fromBytes(second));
  return target.toBytes();
}
