import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { documents, ServedJobs, type JobObject, type JobsClient } from '../support/jobs.js';
import { tokensFile } from '../support/tokens.js';
import { readFixture } from '../support/samples.js';
import { cosine } from '../support/vectors.js';

interface OutputLine {
  index: number;
  id?: string;
  embedding: number[];
}

const TOKENS = { alice: 'a secret of alice', bob: 'a secret of bob', olga: 'a secret of olga' };

/** By Python. */
const skills = readFixture<{ texts: { text: string; embedding: number[] }[] }>('skills', 'expected.json');
const known = skills.texts.filter(({ text }) => text !== '');
const pictures = Object.entries(readFixture<Record<string, number[]>>('images', 'embeddings.json'));

let served: ServedJobs;
let alice: JobsClient;
let bob: JobsClient;

before(async () => {
  served = await ServedJobs.start((folder) => ({
    jobs: { chunk: 50, sources: { samples: 'models/tiny-clip/samples' } },
    env: tokensFile(folder, { ...TOKENS, olga: { token: TOKENS.olga, operator: true } }),
  }));
  alice = served.clientWith({ authorization: `Bearer ${TOKENS.alice}` });
  bob = served.clientWith({ authorization: `Bearer ${TOKENS.bob}` });
});
after(() => served[Symbol.asyncDispose]());

async function output(job: JobObject): Promise<Buffer> {
  const response = await alice.request(`/jobs/${job.id}/output`);
  assert.equal(response.status, 200);
  return Buffer.from(await response.arrayBuffer());
}

/** A NumPy file of float32 rows, by its published format. */
function rowsOf(npy: Buffer): Float32Array[] {
  assert.equal(npy.subarray(1, 6).toString('latin1'), 'NUMPY');
  const end = 10 + npy.readUInt16LE(8);
  const header = npy.subarray(10, end).toString('latin1');
  const [, rows = 0, columns = 0] = /'descr': '<f4', .*'shape': \((\d+), (\d+)\)/.exec(header)?.map(Number) ?? [];
  assert.equal(npy.length, end + rows * columns * 4);
  const numbers = new Float32Array(new Uint8Array(npy.subarray(end)).buffer);
  return Array.from({ length: rows }, (_, row) => numbers.slice(row * columns, (row + 1) * columns));
}

/** That the gateway has been asked. */
async function embeddingRequests(): Promise<number> {
  const text = await (await fetch(`${served.flow.url}/metrics`)).text();
  const counts = text.matchAll(/^clipflow_requests_total\{[^}]*endpoint="\/v1\/embeddings"[^}]*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

describe('what a job answers with', () => {
  test('texts: the embeddings of /v1/embeddings, number for number, and those that Python computes', async () => {
    const input = { documents: known.map(({ text }, i) => (i === 0 ? text : { id: `d${i}`, text })) };
    const id = await alice.start({ input, metadata: { what: 'texts' } });
    const job = await alice.ended(id);
    assert.deepEqual([job.status, job.progress.completed, job.progress.percent], ['completed', known.length, 100]);
    const text = (await output(job)).toString('utf8');
    assert.equal(text, await alice.content(job.output_file_id));
    const lines = await alice.lines<OutputLine>(job.output_file_id);
    const direct = await alice.json<{ data: OutputLine[] }>('/embeddings', { input: known.map((one) => one.text) });
    assert.deepEqual(
      lines.map(({ index, id: name, embedding }) => ({ index, id: name, embedding })),
      direct.data.map(({ embedding }, index) => ({ index, id: index === 0 ? undefined : `d${index}`, embedding })),
    );
    lines.forEach(({ embedding }, i) => assert.ok(cosine(embedding, known[i]?.embedding ?? []) > 0.9999));
    assert.equal(job.error_file_id, null);
    const shown = await alice.json<{ metadata: unknown }>(`/jobs/${id}`);
    assert.deepEqual(shown.metadata, { what: 'texts' });
  });

  test('npy: a row for each document, NaN where one failed; normalized as asked', async () => {
    const texts = known.map(({ text }) => ({ text }));
    const input = { documents: [...texts.slice(0, 5), { image: 'bm90IGFuIGltYWdl' }, ...texts.slice(5)] };
    const job = await alice.ended(await alice.start({ input, output: 'npy', normalized: false }));
    const rows = rowsOf(await output(job));
    assert.equal(rows.length, known.length + 1);
    assert.ok(rows[5]?.every(Number.isNaN));
    const good = rows.filter((_, row) => row !== 5);
    // The model's own length is the fixture's: what Python computes is not normalized.
    good.forEach((row, i) => {
      assert.ok(cosine(row, known[i]?.embedding ?? []) > 0.9999);
      assert.ok(Math.abs(Math.hypot(...row) / Math.hypot(...(known[i]?.embedding ?? [])) - 1) < 1e-3);
    });
    const [error] = await alice.lines<{ line: number; index: number; error: { code: string } }>(job.error_file_id);
    assert.deepEqual([error?.line, error?.index, error?.error.code], [6, 5, 'invalid_document']);
  });

  test('documents that share a request: what is wrong with one is its own error, and all stay in order', async () => {
    const bad: [object, string][] = [
      [{ text: '' }, 'invalid_request'],
      [{ image: '%%' }, 'invalid_request'],
      [{ image: 'bm90IGFuIGltYWdl' }, 'invalid_document'],
    ];
    const texts = Array.from({ length: 40 }, (_, i) => known[i % known.length]);
    const input = { documents: texts.map((one, i) => (i % 7 === 3 ? bad[i % bad.length]?.[0] : { text: one?.text })) };
    const asked = await embeddingRequests();
    const job = await alice.ended(await alice.start({ input }));
    assert.equal((await embeddingRequests()) - asked, 3, '40 documents, 16 of them in a request');
    const indexes = texts.map((_, i) => i);
    const [wrong, right] = [indexes.filter((i) => i % 7 === 3), indexes.filter((i) => i % 7 !== 3)];
    const { completed, failed } = job.progress;
    assert.deepEqual([job.status, completed, failed], ['completed', right.length, wrong.length]);
    const lines = await alice.lines<OutputLine>(job.output_file_id);
    assert.deepEqual(
      lines.map(({ index }) => index),
      right,
    );
    for (const { index, embedding } of lines) assert.ok(cosine(embedding, texts[index]?.embedding ?? []) > 0.9999);
    for (const line of [lines[0], lines.at(-1)]) {
      const alone = await alice.json<{ data: OutputLine[] }>('/embeddings', { input: texts[line?.index ?? -1]?.text });
      assert.ok(cosine(line?.embedding ?? [], alone.data[0]?.embedding ?? []) > 0.9999);
    }
    const errors = await alice.lines<{ index: number; error: { code: string; message: string } }>(job.error_file_id);
    assert.deepEqual(
      errors.map(({ index, error }) => [index, error.code]),
      wrong.map((i) => [i, bad[i % bad.length]?.[1]]),
    );
    // Which place a document had in its request is nobody's business.
    for (const { error } of errors) assert.doesNotMatch(error.message, /input/);
  });

  test('images of a source of the flow', async () => {
    const job = await alice.ended(await alice.start({ input: { source: 'samples', prefix: '00' } }));
    const lines = await alice.lines<OutputLine>(job.output_file_id);
    const names = lines.map(({ id }) => id);
    assert.deepEqual(names, [...names].sort());
    const listed = pictures.filter(([name]) => name.startsWith('00'));
    assert.ok(listed.length > 0);
    for (const [name, wanted] of listed) {
      const found = lines.find(({ id }) => id === name);
      assert.ok(cosine(found?.embedding ?? [], wanted) > 0.999, name);
    }
  });

  test('an uploaded file of documents', async () => {
    const lines = known.slice(0, 3).map(({ text }) => JSON.stringify({ text }));
    const file = await alice.upload(`${lines.join('\r\n')}\r\n\r\n`);
    const job = await alice.ended(await alice.start({ input: { file } }));
    const made = await alice.lines<OutputLine>(job.output_file_id);
    assert.deepEqual(
      made.map(({ embedding }, i) => cosine(embedding, known[i]?.embedding ?? []) > 0.9999),
      [true, true, true],
    );
  });
});

test('progress as server-sent events, up to the end', async () => {
  const id = await alice.start({ input: { documents: documents(300) } });
  const response = await alice.request(`/jobs/${id}/events`);
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  const events = (await response.text()).split('\n\n').flatMap((one) => {
    const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(one) ?? [];
    return event === undefined || data === undefined ? [] : [{ event, job: JSON.parse(data) as JobObject }];
  });
  assert.deepEqual([...new Set(events.map(({ event }) => event))], ['progress', 'end']);
  const completed = events.map(({ job }) => job.progress.completed);
  assert.deepEqual(
    completed,
    [...completed].sort((a, b) => a - b),
  );
  const last = events.at(-1)?.job;
  assert.deepEqual([last?.status, last?.progress.completed, last?.progress.total], ['completed', 300, 300]);
  // One that has ended is told at once.
  assert.match(await (await alice.request(`/jobs/${id}/events`)).text(), /event: end\n/);
});

describe('owners', () => {
  test('jobs, their events and output, and files are their owner’s alone', async () => {
    const file = await alice.upload('{"text": "a red circle"}\n');
    const id = await alice.start({ input: { file } });
    const job = await alice.ended(id);
    assert.ok(job.output_file_id);
    const paths = [
      `/jobs/${id}`,
      `/jobs/${id}/events`,
      `/jobs/${id}/output`,
      `/files/${file}`,
      `/files/${file}/content`,
    ];
    for (const path of [...paths, `/files/${job.output_file_id}/content`]) {
      const response = await bob.request(path);
      assert.equal(response.status, 404, path);
      assert.match(await response.text(), /"code":"not_found"/);
    }
    for (const action of ['cancel', 'pause', 'resume', 'retry'])
      assert.equal((await bob.request(`/jobs/${id}/${action}`, {})).status, 404, action);
    assert.equal((await bob.request('/jobs', { input: { file } })).status, 404);
    assert.equal((await bob.request('/batches', { input_file_id: file, endpoint: '/v1/embeddings' })).status, 404);
    const listOf = async (client: JobsClient, path: string): Promise<string[]> =>
      (await client.json<{ data: { id: string }[] }>(path)).data.map((one) => one.id);
    assert.deepEqual(await listOf(bob, '/jobs'), []);
    assert.deepEqual(await listOf(bob, '/files'), []);
    assert.ok((await listOf(alice, '/jobs')).includes(id));
    const nobody = served.client;
    for (const path of ['/jobs', '/files', '/batches']) assert.equal((await nobody.request(path)).status, 401, path);
  });

  test('the page of the queue asks for the token of an operator', async () => {
    const page = (headers: Record<string, string>, path = ''): Promise<Response> =>
      fetch(`${served.flow.url}/queues${path}`, { headers });
    const basic = (password: string): Record<string, string> => ({
      authorization: `Basic ${Buffer.from(`me:${password}`).toString('base64')}`,
    });
    const refused = await page({});
    assert.equal(refused.status, 401);
    assert.match(refused.headers.get('www-authenticate') ?? '', /^Basic realm=/);
    assert.equal((await page(basic('a guess'))).status, 401);
    assert.equal((await page(basic('a guess'), '/api/queues')).status, 401);
    for (const path of ['', '/api/queues']) {
      const forbidden = await page(basic(TOKENS.alice), path);
      assert.equal(forbidden.status, 403);
      assert.match(await forbidden.text(), /FORBIDDEN.*alice.*operator: true/);
    }
    const retried = await fetch(`${served.flow.url}/queues/api/queues/jobs/retry/failed`, {
      method: 'PUT',
      headers: basic(TOKENS.alice),
    });
    assert.equal(retried.status, 403);
    const shown = await page(basic(TOKENS.olga));
    assert.equal(shown.status, 200);
    assert.match(await shown.text(), /<title>clipflow<\/title>/i);
    const api = await page({ authorization: `Bearer ${TOKENS.olga}` }, '/api/queues');
    assert.match(await api.text(), /"name":"jobs"/);
  });
});

test('an idempotency key stands for one job of its owner', async () => {
  const headers = { 'idempotency-key': randomUUID() };
  const ask = async (client: JobsClient, text: string): Promise<JobObject> =>
    (await (await client.request('/jobs', { input: { documents: [text] } }, headers)).json()) as JobObject;
  const asked = await Promise.all(['one', 'one', 'one'].map((text) => ask(alice, text)));
  assert.equal(new Set(asked.map(({ id }) => id)).size, 1);
  const [first] = asked;
  assert.ok(first);
  assert.equal((await alice.ended(first.id)).progress.total, 1);
  assert.equal((await ask(alice, 'one')).status, 'completed');
  assert.notEqual((await ask(bob, 'one')).id, first.id);
});

test('lists come in pages, the newest first; a batch is found between many jobs', async () => {
  const upload = await bob.upload('{"text": "x"}\n');
  const batches = [await bob.startBatch(upload)];
  const ids: string[] = [];
  for (let i = 0; i < 5; i++) ids.unshift(await bob.start({ input: { documents: [`${i}`] } }));
  batches.unshift(await bob.startBatch(upload));
  interface Page {
    data: { id: string }[];
    has_more: boolean;
    last_id: string | null;
  }
  const all = async (path: string, limit: number): Promise<string[]> => {
    const found: string[] = [];
    for (let after = ''; ;) {
      const page = await bob.json<Page>(`${path}?limit=${limit}${after}`);
      found.push(...page.data.map(({ id }) => id));
      if (!page.has_more) return found;
      assert.equal(page.data.length, limit);
      after = `&after=${page.last_id}`;
    }
  };
  assert.deepEqual(await all('/batches', 1), batches);
  assert.deepEqual((await all('/jobs', 3)).slice(0, 7), [batches[0], ...ids, batches[1]]);
});

test('openapi.json has the routes, and each of them is served', async () => {
  const { paths } = (await (await fetch(`${served.flow.url}/openapi.json`)).json()) as {
    paths: Record<string, object>;
  };
  const routes = Object.entries(paths)
    .filter(([path]) => /^\/v1\/(files|batches|jobs)/.test(path))
    .flatMap(([path, methods]) => Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path })));
  assert.equal(routes.length, 18);
  for (const { method, path } of routes) {
    const headers = { authorization: `Bearer ${TOKENS.alice}`, 'content-type': 'application/json' };
    const response = await fetch(served.flow.url + path.replace('{id}', 'nobody'), { method, headers });
    assert.doesNotMatch(await response.text(), /unknown_endpoint/, `${method} ${path}`);
  }
});
