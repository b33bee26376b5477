import { z } from 'zod';
import { ClipflowError } from '../errors.js';
import type { JsonObject, JsonValue } from '../json.js';
import { Document, type DocumentInit } from './document.js';
import type { NamedScore } from './fields.js';
import { ndArrayFromJson, ndArrayToJson } from './ndarray-json.js';
import { integer, validate, ValidationError, type Location } from './validation-error.js';
import { MAX_NESTING } from './wire.js';

const text = z.string().nullish();
const uint32 = integer.min(0).max(0xffffffff).nullish();
const float = z.float32().nullish();
const scores = z
  .record(
    z.string(),
    z.object({ value: float, op_name: text, opName: text, description: text, ref_id: text, refId: text }),
  )
  .nullish();

/** docarray's PydanticDocument: unknown keys are ignored, null means absent. Nested values are read on their own. */
const documentSchema = z.object({
  id: text,
  parent_id: text,
  parentId: text,
  granularity: uint32,
  adjacency: uint32,
  blob: text,
  tensor: z.unknown().optional(),
  mime_type: text,
  mimeType: text,
  text,
  weight: float,
  uri: text,
  tags: z.record(z.string(), z.unknown()).nullish(),
  offset: float,
  location: z.array(z.float32()).nullish(),
  embedding: z.unknown().optional(),
  modality: text,
  evaluations: scores,
  scores,
  chunks: z.array(z.unknown()).nullish(),
  matches: z.array(z.unknown()).nullish(),
});

/**
 * A document from the JSON that docarray's `Document.to_dict` makes: snake_case keys (mimeType and parentId are taken
 * too), blob in base64, tensor and embedding as nested lists; missing keys and unknown ones are fine, a missing id is
 * generated. Where several of text, blob and tensor are given, the last of them in this order counts, as in docarray.
 * A bare string stands for a text, or for a uri if it starts with http://, https:// or data:.
 *
 * @param location where `value` stands in the body
 * @throws ValidationError that names the key and the type expected.
 */
export function documentFromJson(value: unknown, location: Location): Document {
  return fromJson(value, location, 0);
}

function fromJson(value: unknown, location: Location, depth: number): Document {
  if (depth > MAX_NESTING) throw ValidationError.at(location, `documents nest deeper than ${MAX_NESTING}`);
  if (typeof value === 'string') return new Document(isUri(value) ? { uri: value } : { text: value });
  const json = validate(documentSchema, value, location);
  const nested = (documents: unknown[], key: string) =>
    documents.map((document, i) => fromJson(document, [...location, key, i], depth + 1));

  const init: DocumentInit = {};
  if (json.id != null) init.id = json.id;
  // In the order of docarray: each clears the one before, but an empty blob does not take a text's place.
  if (json.text != null) init.text = json.text;
  if (json.blob != null && (json.blob !== '' || !json.text)) init.blob = blobFromJson(json.blob, [...location, 'blob']);
  if (json.tensor != null) init.tensor = ndArrayFromJson(json.tensor, [...location, 'tensor']);
  if (json.embedding != null) init.embedding = ndArrayFromJson(json.embedding, [...location, 'embedding']);
  const parentId = json.parent_id ?? json.parentId;
  if (parentId != null) init.parentId = parentId;
  const mimeType = json.mime_type ?? json.mimeType;
  if (mimeType != null) init.mimeType = mimeType;
  if (json.uri != null) init.uri = json.uri;
  if (json.modality != null) init.modality = json.modality;
  if (json.granularity != null) init.granularity = json.granularity;
  if (json.adjacency != null) init.adjacency = json.adjacency;
  if (json.weight != null) init.weight = json.weight;
  if (json.offset != null) init.offset = json.offset;
  if (json.location != null) init.location = json.location;
  // What JSON.parse made is JSON.
  if (json.tags != null) init.tags = json.tags as JsonObject;
  if (json.scores != null) init.scores = scoresFromJson(json.scores);
  if (json.evaluations != null) init.evaluations = scoresFromJson(json.evaluations);
  if (json.chunks != null) init.chunks = nested(json.chunks, 'chunks');
  if (json.matches != null) init.matches = nested(json.matches, 'matches');
  return new Document(init);
}

/**
 * The JSON of docarray's `Document.to_dict`: every key, null where the value is absent or the default.
 *
 * @throws ClipflowError INVALID_DOCUMENT when the document's bytes are malformed or nest too deep.
 */
export function documentToJson(document: Document): JsonObject {
  return toJson(document, 0);
}

function toJson(document: Document, depth: number): JsonObject {
  if (depth > MAX_NESTING) throw new ClipflowError('INVALID_DOCUMENT', `documents nest deeper than ${MAX_NESTING}`);
  const { blob, tensor, embedding, tags, location, chunks, matches } = document;
  const nested = (documents: Document[]) =>
    documents.length > 0 ? documents.map((inner) => toJson(inner, depth + 1)) : null;
  return {
    id: document.id,
    parent_id: document.parentId || null,
    granularity: document.granularity || null,
    adjacency: document.adjacency || null,
    blob: blob && blob.length > 0 ? Buffer.from(blob.buffer, blob.byteOffset, blob.length).toString('base64') : null,
    tensor: tensor ? ndArrayToJson(tensor) : null,
    mime_type: document.mimeType || null,
    text: document.text || null,
    weight: document.weight || null,
    uri: document.uri || null,
    tags: Object.keys(tags).length > 0 ? tags : null,
    offset: document.offset || null,
    location: location.length > 0 ? location : null,
    embedding: embedding ? ndArrayToJson(embedding) : null,
    modality: document.modality || null,
    evaluations: scoresToJson(document.evaluations),
    scores: scoresToJson(document.scores),
    chunks: nested(chunks),
    matches: nested(matches),
  };
}

function isUri(value: string): boolean {
  return /^(https?:\/\/|data:)/i.test(value);
}

/** Standard base64 with padding. */
function blobFromJson(value: string, location: Location): Uint8Array {
  if (value.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(value)) {
    throw ValidationError.at(location, 'value is not valid base64');
  }
  return Buffer.from(value, 'base64');
}

function scoresFromJson(json: NonNullable<z.output<typeof scores>>): Record<string, NamedScore> {
  return Object.fromEntries(
    Object.entries(json).map(([key, score]) => [
      key,
      {
        value: score.value ?? 0,
        opName: score.op_name ?? score.opName ?? '',
        description: score.description ?? '',
        refId: score.ref_id ?? score.refId ?? '',
      },
    ]),
  );
}

function scoresToJson(named: Record<string, NamedScore>): JsonValue {
  const entries = Object.entries(named).map(([key, score]): [string, JsonValue] => [
    key,
    {
      value: score.value || null,
      op_name: score.opName || null,
      description: score.description || null,
      ref_id: score.refId || null,
    },
  ]);
  return entries.length > 0 ? Object.fromEntries(entries) : null;
}
