import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { JobsClient } from '../support/jobs.js';
import { Release, isReady, skipRelease } from './release.js';

const FLOW = {
  with: { jobs: { workers: 2, chunk: 50 } },
  executors: [{ name: 'clip', uses: 'CLIPEncoder', uses_with: { name: 'tiny-clip' } }],
};
/** The cluster has one node. */
const STORAGE = 'jobs.storage.size=1Gi,jobs.storage.accessMode=ReadWriteOnce';
const DOCUMENTS = Array.from({ length: 3000 }, (_, i) => ({ id: `d${i}`, text: `a red circle ${i}` }));

describe('bulk jobs on Kubernetes', { skip: skipRelease }, () => {
  test('workers and Redis are deleted in mid-job: every document once, in order', { timeout: 300_000 }, async (t) => {
    await using release = await Release.create();
    const settings = ['--set', `redis.enabled=true,${STORAGE}`];
    await release.installed('--set-json', `flow=${JSON.stringify(FLOW)}`, ...settings);
    const workers = await release.podsWhen('worker', (pods) => pods.filter(isReady).length === 2, 'two are ready');

    await using gateway = await release.gateway();
    const client = new JobsClient(() => gateway.address);
    const started = performance.now();
    const id = await client.start({ input: { documents: DOCUMENTS } });
    await client.until(id, ({ progress }) => progress.completed >= 300);
    for (const { metadata } of workers) {
      await release.kubectl('delete', 'pod', metadata.name, '--grace-period=0', '--force');
    }
    await release.kubectl('delete', 'pod', 'x-redis-0');
    const job = await client.ended(id, 240_000);
    t.diagnostic(`${DOCUMENTS.length} documents in ${Math.round((performance.now() - started) / 1000)} s`);
    assert.deepEqual([job.status, job.progress.failed, job.errors], ['completed', 0, null]);
    const lines = await client.lines<{ index: number; id: string }>(job.output_file_id);
    assert.deepEqual(
      lines.map((line) => [line.index, line.id]),
      DOCUMENTS.map((document, index) => [index, document.id]),
    );
  });
});
