import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redis } from 'ioredis';
import { ServedJobs } from '../support/jobs.js';

const DOCUMENTS = 20_000;
/** docs/jobs.md states what was measured; this is some more than that. */
const MOST_BYTES = 20;

test(`what Redis holds of a job of ${DOCUMENTS} documents is a few bytes for each`, async (t) => {
  await using served = await ServedJobs.start(() => ({ jobs: { concurrency: 1 } }));
  const { client, redis } = served;
  const connection = new Redis(redis.url);
  t.after(() => connection.disconnect());
  const used = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await connection.info('memory'))?.[1]);
  const input = {
    documents: Array.from({ length: DOCUMENTS }, (_, i) => ({ id: `document-${i}`, text: `a red circle ${i}` })),
  };
  // One before, so that what there is once is there.
  await client.ended(await client.start({ input: { documents: ['a red circle'] } }));
  const before = await used();
  const id = await client.start({ input });
  const job = await client.until(id, ({ status }) => status === 'in_progress');
  assert.equal(job.progress.total, DOCUMENTS);
  assert.ok(job.progress.completed < DOCUMENTS / 2, 'most of it is still queued');
  const perDocument = ((await used()) - before) / DOCUMENTS;
  t.diagnostic(`${perDocument.toFixed(2)} bytes of Redis for each queued document`);
  assert.ok(perDocument < MOST_BYTES, `${perDocument} bytes for each document`);
  await client.act(id, 'cancel');
});
