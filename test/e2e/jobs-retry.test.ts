import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { ROOT } from '../support/flow-process.js';
import { ServedJobs, type JobsClient } from '../support/jobs.js';
import { readFixture } from '../support/samples.js';
import { within } from '../support/until.js';
import { cosine } from '../support/vectors.js';

interface Line {
  id: string;
  embedding: number[];
}

const SAMPLES = join(ROOT, 'models/tiny-clip/samples');
/** By Python. */
const vectors = readFixture<Record<string, number[]>>('images', 'embeddings.json');
const [name = '', other = ''] = Object.keys(vectors);

let served: ServedJobs;
let client: JobsClient;

before(async () => {
  served = await ServedJobs.start((folder) => {
    const pictures = join(folder, 'pictures');
    mkdirSync(pictures);
    return { jobs: { attempts: 1, chunk: 1, sources: { pictures } } };
  });
  client = served.client;
});
after(() => served[Symbol.asyncDispose]());

test('documents that failed are done again by a retry, and the output is written anew', async () => {
  copyFileSync(join(SAMPLES, name), join(served.folder, 'pictures', name));
  writeFileSync(join(served.folder, 'pictures', other), 'no image yet');
  const id = await client.start({ input: { source: 'pictures' } });
  const first = await client.ended(id);
  assert.deepEqual([first.status, first.progress.completed, first.progress.failed], ['completed', 1, 1]);
  const [failed] = await client.lines<{ id: string; error: { code: string } }>(first.error_file_id);
  assert.deepEqual([failed?.id, failed?.error.code], [other, 'invalid_document']);
  copyFileSync(join(SAMPLES, other), join(served.folder, 'pictures', other));
  await client.act(id, 'retry');
  const second = await client.ended(id);
  assert.deepEqual([second.status, second.progress.completed, second.progress.failed], ['completed', 2, 0]);
  const lines = await client.lines<Line>(second.output_file_id);
  assert.deepEqual(new Set(lines.map((line) => line.id)), new Set([name, other]));
  for (const line of lines) assert.ok(cosine(line.embedding, vectors[line.id] ?? []) > 0.999, line.id);
  assert.equal(second.error_file_id, null);
});

/** A chunk that is under way when its job is paused is written all the same. */
async function untilNoTaskRuns(): Promise<void> {
  for (;;) {
    const load = (await (await fetch(`${served.flow.url}/load`)).json()) as { bulk: { active_tasks: number } | null };
    if (load.bulk?.active_tasks === 0) return;
    await delay(50);
  }
}

test('a task that fails for good is a dead letter of the queue page, and is done when it is retried there', async () => {
  interface Board {
    queues: { jobs: { id: string; failedReason: string }[] }[];
  }
  const failedTasks = async (): Promise<Board['queues'][number]['jobs']> => {
    const response = await fetch(`${served.flow.url}/queues/api/queues?activeQueue=jobs&status=failed`);
    return ((await response.json()) as Board).queues.flatMap(({ jobs }) => jobs);
  };
  const id = await client.start({ input: { documents: Array<string>(300).fill('a red circle') } });
  await client.until(id, ({ progress }) => progress.completed > 0);
  await client.act(id, 'pause');
  await within(untilNoTaskRuns(), 'the tasks under way to end');
  // While a file is where the folder of its parts should be, no chunk can be written.
  const parts = join(served.folder, 'files/jobs', id, 'parts');
  renameSync(parts, `${parts}-aside`);
  writeFileSync(parts, '');
  await client.act(id, 'resume');
  const seen = async (): Promise<{ id: string; failedReason: string }[]> => {
    for (;;) {
      const tasks = await failedTasks();
      if (tasks.length > 0) return tasks;
      await delay(50);
    }
  };
  for (const task of await within(seen(), 'a dead letter', 60_000)) {
    assert.ok(task.id.startsWith(`${id}-chunk-`), task.id);
    assert.match(task.failedReason, /EEXIST|ENOTDIR/);
  }
  assert.equal((await client.job(id)).status, 'in_progress');
  rmSync(parts);
  renameSync(`${parts}-aside`, parts);
  const retry = async (): Promise<void> => {
    // Those that were about to fail, too.
    while ((await failedTasks()).length > 0 || (await client.job(id)).status !== 'completed') {
      const url = `${served.flow.url}/queues/api/queues/jobs/retry/failed`;
      assert.equal((await fetch(url, { method: 'PUT' })).status, 200);
      await delay(100);
    }
  };
  await within(retry(), 'the job to be completed', 60_000);
  const job = await client.job(id);
  assert.deepEqual([job.progress.completed, job.progress.failed], [300, 0]);
  assert.equal((await client.lines(job.output_file_id)).length, 300);
});
