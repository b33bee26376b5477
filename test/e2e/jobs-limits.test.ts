import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { FlowProcess } from '../support/flow-process.js';
import { JobsClient, jobsFlow, type JobObject } from '../support/jobs.js';
import { RedisServer } from '../support/redis-server.js';
import { within } from '../support/until.js';

const RATE = 100;
const RETENTION_S = 4;

let folder: string;
let redis: RedisServer;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'clipflow-limits-'));
  redis = await RedisServer.start();
});
after(async () => {
  await redis[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const documents = (count: number): { text: string }[] =>
  Array.from({ length: count }, (_, i) => ({ text: `a red circle ${i}` }));
const done = ({ progress: { completed, failed } }: JobObject): number => completed + failed;

describe('rate and retention', () => {
  let flow: FlowProcess;
  const tokens = { alice: 'a secret of alice', bob: 'a secret of bob' };
  const clientOf = (name: keyof typeof tokens): JobsClient =>
    new JobsClient(() => flow.url, { authorization: `Bearer ${tokens[name]}` });
  before(async () => {
    const file = join(folder, 'tokens.yml');
    const entries = Object.entries(tokens).map(([name, token]) => ({
      name,
      sha256: createHash('sha256').update(token).digest('hex'),
    }));
    writeFileSync(file, JSON.stringify({ tokens: entries }));
    const jobs = { chunk: 20, rate: RATE, retention: RETENTION_S };
    // A name of its own, and so a queue of its own.
    const text = jobsFlow(redis.url, join(folder, 'b'), jobs).replace('"with":{', '"with":{"name":"limited",');
    flow = await FlowProcess.start({ text, env: { CLIPFLOW_TOKENS_FILE: file } });
  });
  after(() => flow.stop());

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
      readdirSync(join(folder, 'b'), { recursive: true, encoding: 'utf8' }).filter((name) =>
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
