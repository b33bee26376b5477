import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { documents, done, ServedJobs, type JobsClient } from '../support/jobs.js';

describe('a job', () => {
  let served: ServedJobs;
  let client: JobsClient;
  before(async () => {
    // One document at a time, so that there is time to act.
    served = await ServedJobs.start(() => ({ jobs: { chunk: 5, concurrency: 1 } }));
    client = served.client;
  });
  after(() => served[Symbol.asyncDispose]());

  test('rests while it is paused, and goes on where it was', async () => {
    const id = await client.start({ input: { documents: documents(300) } });
    await client.until(id, (job) => done(job) >= 10);
    assert.equal((await client.act(id, 'pause')).paused, true);
    // What was under way is finished: the job rests once two looks in a row are the same.
    let [before, now] = [-1, done(await client.job(id))];
    for (; before !== now; [before, now] = [now, done(await client.job(id))]) await delay(500);
    assert.ok(now < 300, `${now} of 300`);
    // Others are served meanwhile.
    const other = await client.ended(await client.start({ input: { documents: documents(5) } }));
    assert.equal(other.status, 'completed');
    assert.equal(done(await client.job(id)), now);
    await client.act(id, 'resume');
    const ended = await client.ended(id);
    assert.deepEqual([ended.status, ended.progress.completed], ['completed', 300]);
    const lines = await client.lines<{ index: number }>(ended.output_file_id);
    assert.deepEqual(
      lines.map(({ index }) => index),
      documents(300).map((_, index) => index),
    );
    const again = await client.request(`/jobs/${id}/pause`, {});
    assert.equal(again.status, 400);
    assert.match(await again.text(), /is completed: there is nothing to pause/);
  });

  test('that is cancelled keeps what it has done, and a retry does the rest', async () => {
    const id = await client.start({ input: { documents: documents(200) } });
    await client.until(id, (job) => done(job) >= 10);
    await client.act(id, 'cancel');
    const cancelled = await client.ended(id);
    assert.equal(cancelled.status, 'cancelled');
    assert.ok(cancelled.progress.completed >= 10 && cancelled.progress.completed < 200);
    const kept = await client.lines(cancelled.output_file_id);
    assert.equal(kept.length, cancelled.progress.completed);
    await client.act(id, 'retry');
    const ended = await client.ended(id);
    assert.deepEqual([ended.status, (await client.lines(ended.output_file_id)).length], ['completed', 200]);
    const nothing = await client.request(`/jobs/${id}/retry`, {});
    assert.equal(nothing.status, 400);
    assert.match(await nothing.text(), /there is nothing that could be retried/);
  });

  test('of high priority overtakes one that was there before', async () => {
    const ids = {
      low: await client.start({ input: { documents: documents(150) }, priority: 'low' }),
      high: '',
    };
    await client.until(ids.low, (job) => done(job) > 0);
    ids.high = await client.start({ input: { documents: documents(100) }, priority: 'high' });
    await client.ended(ids.high);
    assert.ok(done(await client.job(ids.low)) < 150);
    assert.equal((await client.ended(ids.low)).status, 'completed');
  });
});
