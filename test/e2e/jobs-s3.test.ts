import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { EXIT_CONFIG } from '../../src/errors.js';
import { FlowProcess, ROOT } from '../support/flow-process.js';
import { JobsClient, jobsFlow } from '../support/jobs.js';
import { RedisServer } from '../support/redis-server.js';
import { NO_S3_SERVER, S3Server } from '../support/s3-server.js';

const SAMPLES = join(ROOT, 'models/tiny-clip/samples');
const pictures = readdirSync(SAMPLES).filter((name) => /\.(png|jpe?g)$/.test(name));

interface OutputLine {
  index: number;
  id: string;
  embedding: number[];
}

const server = await S3Server.install();

describe('jobs with their files and images in S3', { skip: server ? false : NO_S3_SERVER }, () => {
  let s3: S3Server;
  let redis: RedisServer;

  before(async () => {
    assert.ok(server);
    s3 = await server.start();
    redis = await RedisServer.start();
    await layDown();
  });
  after(async () => {
    await redis[Symbol.asyncDispose]();
    await s3.stop();
  });

  async function layDown(): Promise<void> {
    await s3.request('PUT', 'jobs');
    await s3.request('PUT', 'pictures');
    await s3.request('PUT', 'pictures/shop/other/notes.txt', 'no picture');
    for (const name of pictures) {
      await s3.request('PUT', `pictures/shop/new/${name}`, readFileSync(join(SAMPLES, name)));
    }
  }

  /** Without a folder of its own for jobs: gateway and worker meet in S3. */
  const startFlow = (jobs: Record<string, unknown> = {}): Promise<FlowProcess> => {
    const sources = { shop: 's3://pictures/shop' };
    return FlowProcess.start({ text: jobsFlow(redis.url, 's3://jobs/flow', { sources, ...jobs }), env: s3.env });
  };
  const stored = async (): Promise<number> =>
    (await s3.request('GET', 'jobs?list-type=2&prefix=flow/')).match(/<Key>/g)?.length ?? 0;

  test('the images below a prefix are embedded as those of a request are; the output is read through the API', async () => {
    await using flow = await startFlow({ chunk: 2 });
    const client = new JobsClient(() => flow.url);
    const id = await client.start({ input: { source: 'shop', prefix: 'new/' } });
    const job = await client.ended(id);
    assert.deepEqual([job.status, job.progress.completed, job.errors], ['completed', pictures.length, null]);
    const lines = await client.lines<OutputLine>(job.output_file_id);
    assert.deepEqual(
      lines.map((line) => line.id),
      pictures.map((name) => `new/${name}`).sort(),
    );
    assert.equal(await (await client.request(`/jobs/${id}/output`)).text(), await client.content(job.output_file_id));
    const [first] = lines;
    assert.ok(first);
    const image = readFileSync(join(SAMPLES, first.id.slice('new/'.length))).toString('base64');
    const answer = await client.json<{ data: { embedding: number[] }[] }>('/embeddings', { input: [{ image }] });
    const [one] = answer.data;
    assert.ok(one);
    first.embedding.forEach((value, at) => assert.ok(Math.abs(value - (one.embedding[at] ?? NaN)) < 1e-4));
    assert.ok((await stored()) > 0);
  });

  test('an uploaded file is a batch; what is deleted is gone from the bucket; too much is refused', async () => {
    await using flow = await startFlow({ file_bytes: 100_000 });
    const client = new JobsClient(() => flow.url);
    const line = (i: number): string =>
      `${JSON.stringify({ custom_id: `c${i}`, url: '/v1/embeddings', body: { input: `a red circle ${i}` } })}\n`;
    const file = await client.upload(Array.from({ length: 20 }, (_, i) => line(i)).join(''));
    const job = await client.ended(await client.startBatch(file));
    assert.deepEqual([job.status, job.progress.completed], ['completed', 20]);
    const lines = await client.lines<{ custom_id: string }>(job.output_file_id);
    assert.deepEqual(
      lines.map(({ custom_id: id }) => id),
      lines.map((_, i) => `c${i}`),
    );
    const kept = await stored();
    const deleted = await fetch(`${flow.url}/v1/files/${file}`, { method: 'DELETE' });
    assert.equal(deleted.status, 200);
    await assert.rejects(client.upload('x'.repeat(200_000)), /answered 413/);
    assert.equal(await stored(), kept - 1);
  });

  test('a flow whose bucket is missing does not start, and says what to do', async () => {
    const flow = FlowProcess.launch({ text: jobsFlow(redis.url, 's3://nowhere/flow'), env: s3.env });
    assert.equal(await flow.exited(), EXIT_CONFIG);
    assert.match(flow.stderr, /s3:\/\/nowhere\/flow: http:\S+ has no bucket \\?"nowhere\\?": create it/);
  });

  test('while S3 is away a flow starts, serves embeddings and says what jobs wait for; they go on once it is back', async () => {
    await s3.stop();
    await using flow = await startFlow();
    const client = new JobsClient(() => flow.url);
    const refused = await client.request('/jobs', { input: { documents: ['a red circle'] } });
    assert.equal(refused.status, 503);
    assert.match(await refused.text(), /s3:\/\/jobs\/flow: \S+ cannot be reached .*AWS_ENDPOINT_URL_S3/);
    assert.equal((await client.request('/embeddings', { input: 'a red circle' })).status, 200);
    await s3.start();
    await layDown();
    const job = await client.ended(await client.start({ input: { documents: ['a red circle'] } }));
    assert.equal(job.status, 'completed');
  });
});
