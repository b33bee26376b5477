import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FlowProcess } from '../support/flow-process.js';
import { documents, done, JobsClient, jobsFlow } from '../support/jobs.js';
import { freePort } from '../support/ports.js';
import { RedisServer } from '../support/redis-server.js';

/** `CLIPFLOW_TEST_DOCUMENTS=20000` for more of it: docs/jobs.md, "What was measured". */
const DOCUMENTS = Number(process.env.CLIPFLOW_TEST_DOCUMENTS ?? 2000);

interface OutputLine {
  index: number;
  id: string;
  embedding: number[];
}

let folder: string;
before(() => (folder = mkdtempSync(join(tmpdir(), 'clipflow-jobs-'))));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A port of its choice would be another one after the restart. */
async function startFlow(redis: RedisServer, name: string, jobs: Record<string, unknown> = {}): Promise<FlowProcess> {
  const args = ['--port', String(await freePort())];
  return FlowProcess.start({ text: jobsFlow(redis.url, join(folder, name), jobs, 2), args });
}

/** Kills the process that said `event` last, and waits for the one that takes its place. */
async function killAndWait(flow: FlowProcess, event: string): Promise<void> {
  const said = flow.events.filter((one) => one.event === event).at(-1);
  const from = flow.events.length;
  process.kill(Number(said?.pid), 'SIGKILL');
  await flow.event((one) => one.event === event, from);
}

describe('a job whose worker, gateway and Redis die', () => {
  test('has every document once in its output, in order', { timeout: 600_000 }, async (t) => {
    await using redis = await RedisServer.start({ durable: true });
    await using flow = await startFlow(redis, 'killed', { workers: 2, chunk: 50, concurrency: 8 });
    const client = new JobsClient(() => flow.url);
    const id = await client.start({ input: { documents: documents(DOCUMENTS) } });
    const faults = [
      () => killAndWait(flow, 'worker_started'),
      () => killAndWait(flow, 'gateway_listening'),
      async () => {
        await redis.stop('SIGKILL');
        await redis.start();
      },
    ];
    const counts = faults.map(() => 0);
    // Each fault in turn, in an order of chance.
    let round: number[] = [];
    for (let reached = 0; reached < DOCUMENTS * 0.9;) {
      if (round.length === 0) round = [...faults.keys()];
      const [which = 0] = round.splice(Math.floor(Math.random() * round.length), 1);
      await faults[which]?.();
      counts[which] = (counts[which] ?? 0) + 1;
      const wanted = Math.min(DOCUMENTS, reached + 250);
      reached = done(await client.until(id, (job) => done(job) >= wanted, 120_000));
    }
    const job = await client.ended(id, 120_000);
    t.diagnostic(`killed: workers ${counts[0]}, gateway ${counts[1]}, Redis ${counts[2]} times`);
    assert.ok(
      counts.every((count) => count > 0),
      'the job was done before it met each fault',
    );
    assert.deepEqual([job.status, job.progress.failed], ['completed', 0]);
    const lines = await client.lines<OutputLine>(job.output_file_id);
    assert.deepEqual(
      lines.map((line) => [line.index, line.id]),
      documents(DOCUMENTS).map((doc, index) => [index, doc.id]),
    );
    assert.ok(lines.every(({ embedding }) => embedding.length === 512));
  });

  test('is not lost when the whole flow ends and starts again', async () => {
    await using redis = await RedisServer.start({ durable: true });
    let id: string;
    {
      await using flow = await startFlow(redis, 'again', { chunk: 25 });
      const client = new JobsClient(() => flow.url);
      id = await client.start({ input: { documents: documents(600) } });
      await client.until(id, ({ progress }) => progress.completed >= 25);
      await flow.stop('SIGTERM');
    }
    await using flow = await startFlow(redis, 'again', { chunk: 25 });
    const client = new JobsClient(() => flow.url);
    const job = await client.ended(id);
    assert.deepEqual([job.status, job.progress.completed, job.progress.failed], ['completed', 600, 0]);
    const lines = await client.lines<OutputLine>(job.output_file_id);
    assert.deepEqual(
      lines.map(({ index }) => index),
      lines.map((_, index) => index),
    );
    assert.equal(lines.length, 600);
  });
});

describe('without Redis', () => {
  test('a flow starts, serves embeddings, says what is missing for jobs, and serves them once Redis is there', async () => {
    await using redis = await RedisServer.start();
    await redis.stop();
    await using flow = await startFlow(redis, 'without');
    const client = new JobsClient(() => flow.url);
    const body = { input: { documents: ['a red circle'] } };
    const refused = await client.request('/jobs', body);
    assert.equal(refused.status, 503);
    assert.match(await refused.text(), /Redis cannot be reached \(with\.redis\)/);
    assert.equal((await client.request('/embeddings', { input: 'a red circle' })).status, 200);
    assert.equal((await fetch(`${flow.url}/readyz`)).status, 200);
    const from = flow.events.length;
    await redis.start();
    for (const process of ['gateway', 'worker']) {
      await flow.event((one) => one.event === 'redis_connected' && one.process === process, from);
    }
    assert.equal((await client.ended(await client.start(body))).status, 'completed');
  });
});
