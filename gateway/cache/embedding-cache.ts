import { createHash } from 'node:crypto';
import type { Outcome } from '../../src/call.js';
import { Document } from '../../src/document/document.js';
import { ClipflowError } from '../../src/errors.js';
import type { Flow } from '../../src/flow/flow.js';
import type { JsonObject } from '../../src/json.js';
import type { Logger } from '../../src/telemetry/log.js';
import type { GatewayMetrics } from '../metrics.js';
import type { Models } from '../models.js';
import { MemoryStore } from './memory-store.js';
import { RedisStore } from './redis-store.js';
import type { CacheStore } from './store.js';

/** Before the keys; the number changes with the form of the values. */
const PREFIX = 'clipflow:embedding:1:';
const HEAD = 5;

/**
 * The store that the flow asks for.
 * @throws INVALID_CONFIG when it is Redis, and nobody says where that is
 */
export function openStore({ cache, redis }: Flow, log: Logger): CacheStore | undefined {
  if (!cache) return undefined;
  if (cache.store === 'memory') return new MemoryStore(cache);
  if (redis !== undefined) return new RedisStore(redis, cache.ttlMs, log);
  throw new ClipflowError(
    'INVALID_CONFIG',
    'cache.store is redis: set its url by with.redis, CLIPFLOW_REDIS or --redis',
  );
}

/** Keeps what executors made of a content, by the fingerprint of the model that computed it. */
export class EmbeddingCache {
  constructor(
    private readonly store: CacheStore,
    private readonly models: Models,
    private readonly metrics: GatewayMetrics,
  ) {}

  /**
   * Answers documents from the cache, and those that are not in it by `compute`. Contents by themselves only: what lies
   * behind a uri changes.
   */
  async through<W extends { doc: Uint8Array }>(
    executor: string,
    { endpoint, parameters }: { endpoint: string; parameters: JsonObject },
    work: readonly W[],
    compute: (work: readonly W[]) => Promise<readonly (Outcome | undefined)[]>,
  ): Promise<readonly (Outcome | undefined)[]> {
    const fingerprint = this.models.fingerprint(executor, endpoint);
    if (fingerprint === undefined) return compute(work);
    const how = JSON.stringify([fingerprint, parameters]);
    const keys = work.map(({ doc }) => keyOf(how, Document.fromBytes(doc)));
    const found = await this.#found(keys);
    const answers = work.map(({ doc }, index) => recall(doc, found.get(keys[index])));
    const missing = work.map((_, index) => index).filter((index) => !answers[index]);
    const keyed = keys.filter((key) => key !== undefined).length;
    const hits = work.length - missing.length;
    this.metrics.cacheAsked(executor, hits, keyed - hits);
    if (missing.length === 0) return answers;
    const computed = await compute(missing.flatMap((index) => work[index] ?? []));
    const entries = missing.flatMap((index, position) => {
      const [key, value] = [keys[index], entryOf(computed[position])];
      return key === undefined || value === undefined ? [] : [{ key, value }];
    });
    if (entries.length > 0) this.store.set(entries);
    missing.forEach((index, position) => (answers[index] = computed[position]));
    return answers;
  }

  async #found(keys: readonly (string | undefined)[]): Promise<Map<string | undefined, Uint8Array>> {
    const wanted = [...new Set(keys.filter((key) => key !== undefined))];
    const values = wanted.length === 0 ? [] : await this.store.get(wanted);
    return new Map(wanted.flatMap((key, index) => (values[index] ? [[key, values[index]]] : [])));
  }
}

/** Of all that the answer depends on; undefined for a document that has parts, or whose content is not in it. */
function keyOf(how: string, doc: Document): string | undefined {
  const content = wholeContentOf(doc);
  if (content === undefined) return undefined;
  const head = JSON.stringify([how, doc.contentKind, doc.mimeType]);
  return PREFIX + createHash('sha256').update(`${head}\n`).update(content).digest('base64url');
}

function wholeContentOf(doc: Document): string | Uint8Array | undefined {
  try {
    return doc.chunks.length > 0 || doc.matches.length > 0 ? undefined : contentOf(doc);
  } catch {
    return undefined; // It is malformed: the replica answers it with what is wrong.
  }
}

function contentOf(doc: Document): string | Uint8Array | undefined {
  switch (doc.contentKind) {
    case 'text':
      return doc.text;
    case 'blob':
      return doc.blob;
    case 'uri':
      return doc.uri.startsWith('data:') ? doc.uri : undefined;
    case 'tensor':
    case 'none':
      return undefined;
  }
}

/**
 * What an executor made of the document: whether it kept the blob (1 byte), the tokens of the text (4 bytes), and a
 * DocumentProto with what it set.
 */
function entryOf(outcome: Outcome | undefined): Uint8Array | undefined {
  if (!outcome || 'error' in outcome) return undefined;
  const { embedding, mimeType, blob } = Document.fromBytes(outcome.doc);
  if (!embedding) return undefined;
  const head = Buffer.alloc(HEAD);
  head.writeUInt8(blob ? 1 : 0);
  head.writeUInt32LE(outcome.tokens ?? 0, 1);
  return Buffer.concat([head, new Document({ embedding, mimeType }).toBytes()]);
}

function recall(asked: Uint8Array, entry: Uint8Array | undefined): Outcome | undefined {
  if (!entry) return undefined;
  const head = Buffer.from(entry.buffer, entry.byteOffset, HEAD);
  const { embedding, mimeType } = Document.fromBytes(entry.subarray(HEAD));
  const doc = Document.fromBytes(asked);
  doc.embedding = embedding;
  doc.mimeType = mimeType;
  if (head.readUInt8() === 0 && doc.blob) doc.blob = undefined;
  const tokens = head.readUInt32LE(1);
  return tokens === 0 ? { doc: doc.toBytes() } : { doc: doc.toBytes(), tokens };
}
