import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import OpenAI from 'openai';
import { z } from 'zod';
import { FlowProcess } from '../support/flow-process.js';
import { RedisServer } from '../support/redis-server.js';
import { readFixture } from '../support/samples.js';
import { within } from '../support/until.js';
import { cosine } from '../support/vectors.js';

const MODEL = 'tiny-clip';
/** By Python. */
const texts = readFixture<{ texts: { text: string; embedding: number[] }[] }>('skills', 'expected.json').texts.filter(
  ({ text }) => text !== '',
);

const Answered = z.object({
  custom_id: z.string(),
  response: z.object({
    status_code: z.number(),
    body: z.object({
      data: z.array(z.object({ embedding: z.array(z.number()) })).optional(),
      error: z.object({ code: z.string() }).optional(),
    }),
  }),
});
type Answered = z.output<typeof Answered>;

test('files and batches by the openai client of npm', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'clipflow-openai-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  await using redis = await RedisServer.start();
  const env = { CLIPFLOW_REDIS: redis.url, XDG_DATA_HOME: folder };
  await using flow = await FlowProcess.start({ flow: 'flows/jobs.yml', env });
  const openai = new OpenAI({ baseURL: `${flow.url}/v1`, apiKey: 'none', maxRetries: 0 });
  const line = (id: string, body: object): string =>
    JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/embeddings', body });
  const lines = [
    ...texts.map(({ text }, i) => line(`r${i}`, { model: MODEL, input: text })),
    line('bad', { model: 'text-embedding-3-small', input: 'x' }),
  ];
  const start = async (content: string): Promise<OpenAI.Batch> => {
    const file = await openai.files.create({
      file: await OpenAI.toFile(Buffer.from(content), 'input.jsonl'),
      purpose: 'batch',
    });
    assert.equal((await openai.files.retrieve(file.id)).bytes, Buffer.byteLength(content));
    return openai.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/embeddings',
      completion_window: '24h',
      metadata: { by: 'node' },
    });
  };
  const ended = async ({ id }: OpenAI.Batch): Promise<OpenAI.Batch> => {
    for (;;) {
      const now = await openai.batches.retrieve(id);
      if (['completed', 'failed', 'expired', 'cancelled'].includes(now.status)) return now;
      await delay(50);
    }
  };
  const linesOf = async (id: string | undefined): Promise<Answered[]> => {
    const text = await (await openai.files.content(id ?? '')).text();
    return text
      .split('\n')
      .filter((one) => one !== '')
      .map((one) => Answered.parse(JSON.parse(one)));
  };
  const done = await within(start(lines.join('\n')).then(ended), 'the batch to end');
  assert.deepEqual([done.status, done.metadata, done.object], ['completed', { by: 'node' }, 'batch']);
  assert.deepEqual(done.request_counts, { total: texts.length + 1, completed: texts.length, failed: 1 });
  const output = await linesOf(done.output_file_id);
  assert.deepEqual(
    output.map(({ custom_id }) => custom_id),
    texts.map((_, i) => `r${i}`),
  );
  output.forEach(({ response }, i) => {
    const vector = response.body.data?.[0]?.embedding ?? [];
    assert.ok(cosine(vector, texts[i]?.embedding ?? []) > 0.9999);
  });
  const errors = await linesOf(done.error_file_id);
  assert.deepEqual(
    errors.map(({ custom_id, response }) => [custom_id, response.status_code, response.body.error?.code]),
    [['bad', 404, 'model_not_found']],
  );
  const many = Array.from({ length: 5000 }, (_, i) => line(`r${i}`, { input: `a red circle ${i}` }));
  const stopped = await start(many.join('\n'));
  await openai.batches.cancel(stopped.id);
  assert.equal((await within(ended(stopped), 'the batch to be cancelled')).status, 'cancelled');
  const listed: string[] = [];
  for await (const { id } of openai.batches.list({ limit: 1 })) listed.push(id);
  assert.deepEqual(listed.slice(0, 2), [stopped.id, done.id]);
  assert.ok((await openai.files.delete(done.input_file_id)).deleted);
  await assert.rejects(async () => openai.files.retrieve(done.input_file_id), OpenAI.NotFoundError);
});
