import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { FlowProcess } from '../support/flow-process.js';
import { JobsClient, jobsFlow } from '../support/jobs.js';
import { Keda, type Ref } from '../support/keda.js';
import { RedisServer } from '../support/redis-server.js';
import { within } from '../support/until.js';

const REF: Ref = { name: 'worker', namespace: 'default', scalerMetadata: { queue: 'bulk', target_documents: '100' } };
const DOCUMENTS = Array.from({ length: 96 }, (_, i) => `text ${i}`);

const files = mkdtempSync(join(tmpdir(), 'clipflow-bulk-scaling-'));
after(() => rmSync(files, { recursive: true }));

interface Load {
  executors: Record<string, { ongoing: number }>;
  bulk: Record<string, number> | null;
}

async function load(flow: FlowProcess): Promise<Load> {
  return (await (await fetch(`${flow.url}/load`)).json()) as Load;
}

/** What Prometheus is told of bulk work, without `clipflow_bulk_`. */
async function gauges(flow: FlowProcess): Promise<Record<string, number>> {
  const text = await (await fetch(`${flow.url}/metrics`)).text();
  return Object.fromEntries(
    [...text.matchAll(/^clipflow_bulk_(\w+) (\S+)$/gm)].map(([, name = '', value]) => [name, Number(value)]),
  );
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const look = async (): Promise<void> => {
    while (!(await holds())) await delay(100);
  };
  await within(look(), what, 60_000);
}

describe('the backlog of bulk jobs', () => {
  test('is a signal while a job is neither done nor paused, to KEDA, Prometheus and as JSON', async () => {
    await using redis = await RedisServer.start();
    const text = jobsFlow(redis.url, files, { chunk: 16, workers: 1 });
    await using flow = await FlowProcess.start({ text });
    using keda = new Keda(flow.url);
    const jobs = new JobsClient(() => flow.url);
    assert.deepEqual(await keda.call('IsActive', REF), { result: false });
    assert.deepEqual(await keda.call('GetMetricSpec', REF), {
      metricSpecs: [{ metricName: 'clipflow-bulk-documents', targetSize: 100, targetSizeFloat: 100 }],
    });
    assert.equal(await keda.documents(REF), 0);

    // Nothing gets done while one looks.
    const pid = (await flow.untilReady('clip', 1))[0]?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    const id = await jobs.start({ input: { documents: DOCUMENTS } });
    await until('documents in hand', async () => ((await load(flow)).bulk?.active_documents ?? 0) > 0);
    assert.equal(await keda.documents(REF), 96);
    assert.deepEqual(await keda.call('IsActive', REF), { result: true });
    const { executors, bulk } = await load(flow);
    assert.deepEqual(Object.keys(executors), ['clip']);
    const { jobs: count, documents = 0, queued_documents = 0, active_documents = 0 } = bulk ?? {};
    assert.equal(count, 1);
    assert.equal(documents, 96);
    assert.equal(queued_documents + active_documents, documents);
    assert.ok(active_documents > 0 && active_documents <= 4 * 16, `${active_documents} for four tasks at most`);
    const told = await gauges(flow);
    assert.equal(told.jobs, 1);
    assert.equal(told.documents, 96);
    assert.ok((told.active_tasks ?? 0) > 0, JSON.stringify(told));

    process.kill(pid, 'SIGCONT');
    await jobs.act(id, 'pause');
    await until('the pause', async () => !(await keda.call<{ result: boolean }>('IsActive', REF)).result);
    assert.equal(await keda.documents(REF), 0);
    await jobs.act(id, 'resume');
    await jobs.ended(id);
    await until('the end', async () => (await load(flow)).bulk?.jobs === 0);
    assert.equal((await load(flow)).bulk?.oldest_seconds, 0);
  });

  test('wakes the first worker: a job counts before its documents are known', async () => {
    await using redis = await RedisServer.start();
    await using flow = await FlowProcess.start({ text: jobsFlow(redis.url, files, { workers: 0 }) });
    using keda = new Keda(flow.url);
    await new JobsClient(() => flow.url).start({ input: { documents: DOCUMENTS } });
    await until('a job', async () => (await keda.call<{ result: boolean }>('IsActive', REF)).result);
    assert.equal((await load(flow)).bulk?.queued_tasks, 1);
    await until('its age', async () => ((await load(flow)).bulk?.oldest_seconds ?? 0) > 0);
  });

  test('is unknown while Redis is away: KEDA is told so, and executors are scaled all the same', async () => {
    await using redis = await RedisServer.start();
    await using flow = await FlowProcess.start({ text: jobsFlow(redis.url, files, { workers: 0 }) });
    using keda = new Keda(flow.url);
    assert.equal(await keda.documents(REF), 0);
    await redis.stop();
    await until('the loss', async () => (await load(flow)).bulk === null);
    await assert.rejects(keda.documents(REF), (error) => (error as { code: status }).code === status.UNAVAILABLE);
    assert.deepEqual(await gauges(flow), {});
    assert.equal(await keda.documents({ ...REF, scalerMetadata: { executor: 'clip' } }), 0);
  });
});
