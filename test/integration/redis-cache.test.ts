import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redis } from 'ioredis';
import { FlowProcess } from '../support/flow-process.js';
import { RedisServer } from '../support/redis-server.js';
import { sampleDocument } from '../support/samples.js';

const FLOW = `
with: { cache: { store: redis, ttl: 60 } }
executors: [{ name: clip, uses: CLIPEncoder, uses_with: { device: cpu } }]
`;
const DATA = [{ id: 'a', text: 'a red circle' }, sampleDocument('007.jpg'), { id: 'b', text: 'two blue stars' }];

const start = (redis: string): Promise<FlowProcess> =>
  FlowProcess.start({ text: FLOW, env: { CLIPFLOW_REDIS: redis } });

async function encode(flow: FlowProcess): Promise<unknown> {
  const { status, body } = await flow.post({ data: DATA }, '/encode');
  assert.equal(status, 200);
  assert.ok(body.data.every(({ embedding }) => embedding?.length === 512));
  return body.data;
}

async function counts(flow: FlowProcess): Promise<{ hits: number; misses: number }> {
  const metrics = await (await fetch(`${flow.url}/metrics`)).text();
  const value = (name: string): number =>
    Number(new RegExp(`^clipflow_cache_${name}_total\\{executor="clip"\\} (\\d+)$`, 'm').exec(metrics)?.[1] ?? 0);
  return { hits: value('hits'), misses: value('misses') };
}

/** Until all answers are kept: they are written behind the answer. */
async function kept(redis: Redis, entries: number): Promise<string[]> {
  for (;;) {
    const keys = await redis.keys('clipflow:embedding:*');
    if (keys.length >= entries) return keys;
  }
}

test('gateways share a cache on Redis; what comes from it is what was computed, bit for bit', async () => {
  await using server = await RedisServer.start();
  const redis = new Redis(server.url);
  try {
    let computed: unknown;
    {
      await using first = await start(server.url);
      computed = await encode(first);
      assert.deepEqual(await counts(first), { hits: 0, misses: 3 });
      const keys = await kept(redis, 3);
      for (const key of keys) assert.ok((await redis.pttl(key)) > 0);
      assert.deepEqual(await encode(first), computed);
      assert.deepEqual(await counts(first), { hits: 3, misses: 3 });
    }
    await using second = await start(server.url);
    assert.deepEqual(await encode(second), computed);
    assert.deepEqual(await counts(second), { hits: 3, misses: 0 });
  } finally {
    redis.disconnect();
  }
});

test('without Redis everything is computed, which is logged once; when it is back it is used again', async () => {
  await using server = await RedisServer.start();
  await server.stop();
  await using flow = await start(server.url);
  const computed = await encode(flow);
  for (let i = 0; i < 5; i++) assert.deepEqual(await encode(flow), computed);
  const told = (): string[] => flow.events.map(({ event }) => event).filter((event) => event.startsWith('cache_'));
  assert.deepEqual(told(), ['cache_unavailable']);

  await server.start();
  await flow.event(({ event }) => event === 'cache_connected');
  const redis = new Redis(server.url);
  try {
    await encode(flow);
    await kept(redis, 3);
    const { hits } = await counts(flow);
    assert.deepEqual(await encode(flow), computed);
    assert.equal((await counts(flow)).hits, hits + 3);
  } finally {
    redis.disconnect();
  }

  await server.stop();
  await flow.event(
    ({ event }) => event === 'cache_unavailable',
    flow.events.findIndex(({ event }) => event === 'cache_connected'),
  );
  assert.deepEqual(await encode(flow), computed);
  assert.deepEqual(told(), ['cache_unavailable', 'cache_connected', 'cache_unavailable']);
});

test('a cache on Redis without a url is refused at the start', async () => {
  await using flow = FlowProcess.launch({ text: FLOW, env: { CLIPFLOW_REDIS: '' } });
  assert.equal(await flow.exited(), 78);
  assert.match(flow.stderr, /cache\.store is redis: set its url/);
});
