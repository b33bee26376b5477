import { Document } from '../../src/document/document.js';

/** Adds what `target` has not set. Ids and parents stay: they say where a document stands, not what it is. */
function fillFrom(target: Document, other: Document): void {
  // A document has one content: setting one clears another kind, so that the later branch's stands.
  if (other.text && !target.text) target.text = other.text;
  if (other.blob?.length && !target.blob?.length) target.blob = other.blob;
  if (other.tensor && !target.tensor) target.tensor = other.tensor;
  if (!target.embedding && other.embedding) target.embedding = other.embedding;
  target.granularity ||= other.granularity;
  target.adjacency ||= other.adjacency;
  target.uri ||= other.uri;
  target.mimeType ||= other.mimeType;
  target.modality ||= other.modality;
  target.weight ||= other.weight;
  target.offset ||= other.offset;
  if (target.location.length === 0) target.location = other.location;
  if (Object.keys(target.tags).length === 0) target.tags = other.tags;
  if (Object.keys(target.scores).length === 0) target.scores = other.scores;
  if (Object.keys(target.evaluations).length === 0) target.evaluations = other.evaluations;
  if (other.matches.length > 0) target.matches = mergeById(target.matches, other.matches);
  if (other.chunks.length > 0) target.chunks = mergeById(target.chunks, other.chunks);
}

/** All of ours, each filled from theirs of the same id, then those that only they have. */
function mergeById(ours: readonly Document[], theirs: readonly Document[]): Document[] {
  const merged = [...ours];
  const byId = new Map(ours.map((doc) => [doc.id, doc]));
  for (const doc of theirs) {
    const known = byId.get(doc.id);
    if (known) fillFrom(known, doc);
    else {
      byId.set(doc.id, doc);
      merged.push(doc);
    }
  }
  return merged;
}

/**
 * Joins what two branches made of the same document, as docarray 0.21's `DocumentArray.reduce` does: a field that the
 * first has not set is taken from the second; matches and chunks are merged by their ids.
 */
export function reduceDocuments(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (Buffer.compare(first, second) === 0) return first;
  const target = Document.fromBytes(first);
  fillFrom(target, Document.fromBytes(second));
  return target.toBytes();
}
