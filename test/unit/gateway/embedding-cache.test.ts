import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { EmbeddingCache } from '../../../gateway/cache/embedding-cache.js';
import { MemoryStore } from '../../../gateway/cache/memory-store.js';
import { FlowDispatch } from '../../../gateway/dispatch/flow-dispatch.js';
import { GatewayMetrics } from '../../../gateway/metrics.js';
import { Models } from '../../../gateway/models.js';
import { Document, type DocumentInit } from '../../../src/document/document.js';
import { NdArray } from '../../../src/document/ndarray.js';
import { loadFlow } from '../../../src/flow/load.js';
import type { JsonObject } from '../../../src/json.js';
import { FakeDirectory, FakeReplica } from './fake-replica.js';

const LIMITS = { store: 'memory', ttlMs: 60_000, max: 100, maxBytes: 1_000_000 } as const;

/** A flow whose executor gives every document another embedding than the one before. */
class CachedFlow {
  readonly directory = new FakeDirectory();
  readonly metrics = new GatewayMetrics();
  readonly dispatch: FlowDispatch;
  /** Ids that the executor saw. */
  readonly computed: string[] = [];

  constructor(limits: Partial<typeof LIMITS> = {}) {
    const flow = loadFlow({ text: 'executors: [{ name: clip, uses: CLIPEncoder }]' }, {});
    const models = new Models(flow, this.directory);
    const cache = new EmbeddingCache(new MemoryStore({ ...LIMITS, ...limits }), models, this.metrics);
    this.dispatch = new FlowDispatch(flow, this.directory, this.metrics, pino({ level: 'silent' }), cache);
  }

  serve(fingerprint: string | null = 'one'): FakeReplica {
    const scores = { kind: 'softmax', scale: 100 } as const;
    const model = { name: 'tiny-clip', endpoint: '/encode', dimension: 2, scores, matryoshka: null, fingerprint };
    const replica = new FakeReplica({ endpoints: ['/encode', '/rank'], models: [model], batchSize: 100 }, (call) => {
      const docs = call.docs.map((bytes) => Document.fromBytes(bytes));
      const outcomes = docs.map((doc) => {
        this.computed.push(doc.id);
        if (doc.text === 'bad') return { error: { code: 'INVALID_DOCUMENT', message: 'bad' } as const };
        doc.embedding = NdArray.fromFloat32(Float32Array.of(this.computed.length, 0.1));
        doc.mimeType = doc.text === undefined ? doc.mimeType : 'text/plain';
        if (call.parameters.drop_image_content === true && doc.blob) doc.blob = undefined;
        return doc.text === undefined ? { doc: doc.toBytes() } : { doc: doc.toBytes(), tokens: 5 };
      });
      queueMicrotask(() => call.answer(outcomes));
    });
    this.directory.join(replica);
    return replica;
  }

  async post(doc: DocumentInit, parameters: JsonObject = {}, endpoint = '/encode') {
    const docs = [new Document(doc).toBytes()];
    const [outcome] = (await this.dispatch.post({ endpoint, parameters, docs })).outcomes;
    if (!outcome || 'error' in outcome) return outcome;
    return { doc: Document.fromBytes(outcome.doc), tokens: outcome.tokens };
  }

  /** What came of two documents: the executor saw these. */
  async seen(first: Parameters<CachedFlow['post']>, second: Parameters<CachedFlow['post']>): Promise<string> {
    await this.post(...first);
    await this.post(...second);
    return this.computed.splice(0).join(' ');
  }
}

const served = (): CachedFlow => {
  const flow = new CachedFlow();
  flow.serve();
  return flow;
};
const text = 'a red circle';
const blob = Buffer.from('an image');

describe('the cache of embeddings', () => {
  test('answers a content that comes again, with the document’s own id and tags, and counts hits and misses', async () => {
    const flow = served();
    const first = await flow.post({ id: 'a', text });
    const second = await flow.post({ id: 'b', text, tags: { mine: 1 } });
    assert.deepEqual(flow.computed, ['a']);
    assert.ok(first && second && 'doc' in first && 'doc' in second);
    assert.deepEqual([second.doc.id, second.doc.tags, second.doc.text], ['b', { mine: 1 }, text]);
    assert.deepEqual(second.doc.embedding, first.doc.embedding);
    assert.deepEqual([second.doc.mimeType, second.tokens], ['text/plain', 5]);
    const metrics = await flow.metrics.registry.metrics();
    assert.match(metrics, /clipflow_cache_hits_total\{executor="clip"\} 1/);
    assert.match(metrics, /clipflow_cache_misses_total\{executor="clip"\} 1/);
  });

  test('knows what an answer depends on', async () => {
    const flow = served();
    const a = (doc: DocumentInit): [DocumentInit] => [{ id: 'a', ...doc }];
    const b = (doc: DocumentInit): [DocumentInit] => [{ id: 'b', ...doc }];
    assert.equal(await flow.seen(a({ text: 'x' }), b({ text: 'y' })), 'a b');
    assert.equal(await flow.seen(a({ blob }), b({ blob })), 'a');
    assert.equal(await flow.seen(a({ text: 'an image' }), b({ blob: Buffer.from('an image ') })), 'a b');
    assert.equal(await flow.seen(a({ uri: 'data:,1' }), b({ uri: 'data:,1' })), 'a');
    // What lies behind an address changes.
    assert.equal(await flow.seen(a({ uri: 'http://x/1' }), b({ uri: 'http://x/1' })), 'a b');
    assert.equal(await flow.seen(a({ text: 'bad' }), b({ text: 'bad' })), 'a b');
    const parts = { text: 'parts', chunks: [new Document({ text: 'part' })] };
    assert.equal(await flow.seen(a(parts), b(parts)), 'a b');
    assert.equal(await flow.seen([{ id: 'a', text: 'p' }, { x: 1 }], [{ id: 'b', text: 'p' }, { x: 2 }]), 'a b');
    assert.equal(await flow.seen([{ id: 'a', text: 'r' }, {}, '/rank'], [{ id: 'b', text: 'r' }, {}, '/rank']), 'a b');
  });

  test('drops an image’s content where the caller wants that, also from what it has kept', async () => {
    const flow = served();
    const drop = { drop_image_content: true };
    for (const id of ['a', 'b']) {
      const answer = await flow.post({ id, blob }, drop);
      assert.ok(answer && 'doc' in answer && answer.doc.embedding);
      assert.equal(answer.doc.blob, undefined);
    }
    assert.deepEqual(flow.computed, ['a']);
    const kept = await flow.post({ id: 'c', blob });
    assert.ok(kept && 'doc' in kept && kept.doc.blob);
  });

  test('another model starts anew; while replicas differ, and where there is no fingerprint, nothing is kept', async () => {
    const flow = new CachedFlow();
    const old = flow.serve('one');
    assert.equal(await flow.seen([{ id: 'a', text }], [{ id: 'b', text }]), 'a');
    flow.serve('two');
    assert.equal(await flow.seen([{ id: 'c', text }], [{ id: 'd', text }]), 'c d');
    flow.directory.remove(old, 'left');
    assert.equal(await flow.seen([{ id: 'e', text }], [{ id: 'f', text }]), 'e');
    const without = new CachedFlow();
    without.serve(null);
    assert.equal(await without.seen([{ id: 'a', text }], [{ id: 'b', text }]), 'a b');
  });
});

describe('the store in memory', () => {
  const entry = (key: string, bytes = 10) => [{ key, value: new Uint8Array(bytes).fill(7) }];
  const has = async (store: MemoryStore, ...keys: string[]): Promise<boolean[]> =>
    (await store.get(keys)).map((value) => value !== undefined);

  test('forgets what was used longest ago, past its entries or bytes', async () => {
    const few = new MemoryStore({ ...LIMITS, max: 2 });
    for (const key of ['a', 'b']) few.set(entry(key));
    await few.get(['a']);
    few.set(entry('c'));
    assert.deepEqual(await has(few, 'a', 'b', 'c'), [true, false, true]);
    const small = new MemoryStore({ ...LIMITS, maxBytes: 1000 });
    for (const key of ['a', 'b', 'c']) small.set(entry(key, 400));
    small.set(entry('d', 2000));
    assert.deepEqual(await has(small, 'a', 'b', 'c', 'd'), [false, true, true, false]);
  });

  test('forgets what is older than its time', async () => {
    const store = new MemoryStore({ ...LIMITS, ttlMs: 20 });
    store.set(entry('a'));
    assert.deepEqual(await has(store, 'a'), [true]);
    await delay(60);
    assert.deepEqual(await has(store, 'a'), [false]);
  });
});
