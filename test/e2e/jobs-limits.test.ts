import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { documents, done, ServedJobs, type JobsClient } from '../support/jobs.js';
import { tokensFile } from '../support/tokens.js';
import { within } from '../support/until.js';

const RATE = 100;
const RETENTION_S = 4;

describe('rate and retention', () => {
  let served: ServedJobs;
  const tokens = { alice: 'a secret of alice', bob: 'a secret of bob' };
  const clientOf = (name: keyof typeof tokens): JobsClient =>
    served.clientWith({ authorization: `Bearer ${tokens[name]}` });
  before(async () => {
    served = await ServedJobs.start((folder) => ({
      jobs: { chunk: 20, rate: RATE, retention: RETENTION_S },
      env: tokensFile(folder, tokens),
    }));
  });
  after(() => served[Symbol.asyncDispose]());

  test('a caller’s jobs take so many documents a second; another caller’s do not wait for them', async () => {
    const [alice, bob] = [clientOf('alice'), clientOf('bob')];
    const from = performance.now();
    const ids = [await alice.start({ input: { documents: documents(250) } })];
    ids.push(await alice.start({ input: { documents: documents(250) } }));
    await alice.until(ids[0] ?? '', (job) => done(job) > 0);
    const quick = await bob.ended(await bob.start({ input: { documents: documents(40) } }));
    const others = await Promise.all(ids.map((id) => alice.job(id)));
    assert.equal(quick.status, 'completed');
    assert.ok(others.some(({ status }) => status === 'in_progress'));
    for (const id of ids) assert.equal((await alice.ended(id)).status, 'completed');
    // A second’s worth and a chunk come at once.
    const least = (500 - RATE - 2 * 20) / RATE;
    const took = (performance.now() - from) / 1000;
    assert.ok(took >= least, `${took} s for 500 documents`);
    assert.ok(took < 4 * least + 5, `${took} s for 500 documents`);
  });

  test('a job, its output and its input are gone once they were kept for long enough', async () => {
    const alice = clientOf('alice');
    const upload = await alice.upload(`${JSON.stringify({ text: 'a red circle' })}\n`);
    const from = performance.now();
    const job = await alice.ended(await alice.start({ input: { file: upload }, completion_window: '1s' }));
    assert.equal((await alice.request(`/files/${job.output_file_id}/content`)).status, 200);
    const left = (): string[] =>
      readdirSync(join(served.folder, 'files'), { recursive: true, encoding: 'utf8' }).filter((name) =>
        [job.id, upload].some((id) => name.includes(id)),
      );
    assert.ok(left().length > 0);
    const gone = async (): Promise<void> => {
      for (const path of [`/jobs/${job.id}`, `/files/${job.output_file_id}`, `/files/${upload}`])
        while ((await alice.request(path)).status !== 404) await delay(50);
    };
    await within(gone(), 'the job to be removed');
    assert.ok(performance.now() - from > (RETENTION_S - 1) * 1000);
    assert.deepEqual(left(), []);
    assert.equal(
      (await alice.json<{ data: { id: string }[] }>('/jobs')).data.filter(({ id }) => id === job.id).length,
      0,
    );
  });
});
