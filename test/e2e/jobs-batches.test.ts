import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { ServedJobs, type JobsClient } from '../support/jobs.js';
import { readFixture } from '../support/samples.js';
import { within } from '../support/until.js';
import { cosine } from '../support/vectors.js';

interface Batch {
  status: string;
  output_file_id: string | null;
  error_file_id: string | null;
  request_counts: { total: number; completed: number; failed: number };
  errors: { data: { code: string; message: string }[] } | null;
  [at: `${string}_at`]: number | null;
}

interface Line {
  custom_id: string | null;
  response: { status_code: number; request_id: string; body: Record<string, unknown> } | null;
  error: { code: string; message: string; line: number } | null;
}

const skills = readFixture<{ texts: { text: string; embedding: number[] }[] }>('skills', 'expected.json');
const known = skills.texts.filter(({ text }) => text !== '');

/** As the folder of the model says. */
const MODEL = 'tiny-scenes';

let served: ServedJobs;
let client: JobsClient;

before(async () => {
  // One document at a time, so that there is time to see a batch under way.
  served = await ServedJobs.start(() => ({ jobs: { chunk: 5, concurrency: 1 } }));
  client = served.client;
});
after(() => served[Symbol.asyncDispose]());

const request = (id: string, body: object, url = '/v1/embeddings'): string =>
  JSON.stringify({ custom_id: id, method: 'POST', url, body });
const many = (count: number): string =>
  Array.from({ length: count }, (_, i) => `${request(`r${i}`, { input: `a red circle ${i}` })}\n`).join('');

const batch = (id: string): Promise<Batch> => client.json<Batch>(`/batches/${id}`);
async function until(id: string, ...statuses: string[]): Promise<Batch> {
  const look = async (): Promise<Batch> => {
    for (;;) {
      const now = await batch(id);
      if (statuses.includes(now.status)) return now;
      await delay(30);
    }
  };
  return within(look(), `batch ${id} to be ${statuses.join(' or ')}`);
}

describe('a batch', () => {
  test('of embeddings: the answers of /v1/embeddings by custom_id, and the vectors of Python', async () => {
    const input = known.map(({ text }, i) => request(`r${i}`, { model: MODEL, input: text })).join('\n');
    const id = await client.startBatch(await client.upload(input));
    const done = await until(id, 'completed', 'failed');
    const total = known.length;
    assert.deepEqual(done.request_counts, { total, completed: total, failed: 0 });
    assert.deepEqual([done.status, done.error_file_id, done.errors], ['completed', null, null]);
    const times = [done.created_at, done.in_progress_at, done.finalizing_at, done.completed_at];
    assert.deepEqual(
      times,
      [...times].sort((a, b) => Number(a) - Number(b)),
    );
    const lines = await client.lines<Line>(done.output_file_id);
    const direct = await Promise.all(
      known.map(({ text }) => client.json('/embeddings', { model: MODEL, input: text })),
    );
    assert.deepEqual(
      lines.map(({ custom_id, response, error }) => [custom_id, response?.status_code, response?.body, error]),
      direct.map((body, i) => [`r${i}`, 200, body, null]),
    );
    lines.forEach(({ response }, i) => {
      const { data } = response?.body as { data: { embedding: number[] }[] };
      assert.ok(cosine(data[0]?.embedding ?? [], known[i]?.embedding ?? []) > 0.9999);
    });
    const ids = new Set(lines.map(({ response }) => response?.request_id ?? ''));
    assert.equal(ids.size, total);
    for (const requestId of ids) assert.match(requestId, /./);
  });

  test('of reranks and of classifications', async () => {
    const query = 'a red circle';
    const documents = known.map(({ text }) => text);
    for (const [endpoint, body] of [
      ['/v1/rerank', { query, documents }],
      ['/v1/classify', { input: documents, labels: ['a circle', 'a star'] }],
    ] as const) {
      const file = await client.upload(request('one', body, endpoint));
      const done = await until(await client.startBatch(file, { endpoint }), 'completed', 'failed');
      const [line] = await client.lines<Line>(done.output_file_id);
      const direct = await client.json<object>(endpoint.slice('/v1'.length), body);
      assert.deepEqual({ ...line?.response?.body, id: null }, { ...direct, id: null });
    }
  });

  test('lines that are wrong stand in the error file with their numbers; the others are answered', async () => {
    const lines = [
      request('good', { input: 'a red circle' }),
      '{"custom_id": "cut off", "method": "POST", "url": "/v1/emb',
      '',
      request('other route', { query: 'x', documents: ['y'] }, '/v1/rerank'),
      request('no such model', { model: 'text-embedding-3-small', input: 'x' }),
      request('empty', { input: '' }),
      JSON.stringify({ method: 'POST', url: '/v1/embeddings', body: { input: 'no custom_id' } }),
      '[1, 2]',
      request('good too', { input: 'two hearts' }),
    ];
    const done = await until(await client.startBatch(await client.upload(lines.join('\n'))), 'completed', 'failed');
    assert.deepEqual([done.status, done.request_counts], ['completed', { total: 8, completed: 2, failed: 6 }]);
    const good = await client.lines<Line>(done.output_file_id);
    assert.deepEqual(
      good.map(({ custom_id }) => custom_id),
      ['good', 'good too'],
    );
    const bad = await client.lines<Line>(done.error_file_id);
    assert.deepEqual(
      bad.map(({ custom_id, error, response }) => [custom_id, error?.line, response?.status_code]),
      [
        [null, 2, undefined],
        ['other route', 4, undefined],
        ['no such model', undefined, 404],
        ['empty', undefined, 400],
        [null, 7, undefined],
        [null, 8, undefined],
      ],
    );
    assert.match(bad[0]?.error?.message ?? '', /^line 2 is no JSON: /);
    assert.match(bad[1]?.error?.message ?? '', /^line 4: url is \/v1\/rerank, but this batch is for \/v1\/embeddings$/);
    assert.deepEqual(bad[2]?.response?.body.error, {
      ...(bad[2]?.response?.body.error as object),
      code: 'model_not_found',
      param: 'model',
    });
    assert.match(bad[4]?.error?.message ?? '', /^line 7, custom_id: /);
  });

  test('whose file has no lines fails, and says so', async () => {
    const failed = await until(await client.startBatch(await client.upload('\n \n')), 'completed', 'failed');
    assert.deepEqual(
      [failed.status, failed.output_file_id, failed.errors?.data[0]?.message],
      ['failed', null, 'the input has no documents'],
    );
    assert.ok(failed.failed_at);
  });

  test('that is cancelled keeps what it has done', async () => {
    const id = await client.startBatch(await client.upload(many(2000)));
    await client.until(id, ({ progress }) => progress.completed >= 10);
    const asked = await client.json<Batch>(`/batches/${id}/cancel`, {});
    assert.match(asked.status, /^cancell(ing|ed)$/);
    const done = await until(id, 'cancelled');
    assert.ok(done.cancelling_at && done.cancelled_at);
    const { completed, total } = done.request_counts;
    assert.ok(completed >= 10 && completed < total, JSON.stringify(done.request_counts));
    const lines = await client.lines<Line>(done.output_file_id);
    assert.equal(lines.length, completed);
    assert.ok(lines.every(({ response }) => response?.status_code === 200));
    // Again it is no error, as it is none to be late by a moment; what has ended otherwise cannot be cancelled.
    assert.equal((await client.json<Batch>(`/batches/${id}/cancel`, {})).status, 'cancelled');
    const ended = await client.startBatch(await client.upload(many(1)));
    await until(ended, 'completed');
    const late = await client.request(`/batches/${ended}/cancel`, {});
    assert.equal(late.status, 400);
    assert.match(await late.text(), /is completed: it cannot be cancelled any more/);
  });

  test('whose window is over has expired: what was done is in the output, what was not in the error file', async () => {
    const id = await client.startBatch(await client.upload(many(3000)), { completion_window: '2s' });
    const done = await until(id, 'expired');
    const { completed, total } = done.request_counts;
    assert.ok(completed > 0 && completed < total, JSON.stringify(done.request_counts));
    assert.ok(done.expired_at && done.expires_at && done.expired_at >= done.expires_at - 1);
    const [lines, errors] = await Promise.all([
      client.lines<Line>(done.output_file_id),
      client.lines<Line>(done.error_file_id),
    ]);
    assert.equal(lines.length, completed);
    assert.ok(errors.every(({ response, error }) => response === null && error?.code === 'deadline_exceeded'));
    const all = [...lines, ...errors].map(({ custom_id }) => custom_id);
    assert.deepEqual(new Set(all), new Set(Array.from({ length: total }, (_, i) => `r${i}`)));
    assert.equal(all.length, total);
    // A retry has a window of its own, and does the rest only.
    await client.act(id, 'retry');
    const retried = await until(id, 'expired', 'completed');
    assert.ok(retried.request_counts.completed > completed, JSON.stringify(retried));
  });
});
