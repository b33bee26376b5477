import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { clipflow } from '../support/clipflow.js';
import { ServedJobs, type JobsClient } from '../support/jobs.js';
import { within } from '../support/until.js';

const MIB = 2 ** 20;
const FILE_BYTES = 4 * MIB;
const GIB = 2 ** 30;

let served: ServedJobs;
let client: JobsClient;

before(async () => {
  served = await ServedJobs.start(() => ({ jobs: { file_bytes: FILE_BYTES, max_unfinished: 2 } }));
  client = served.client;
});
after(() => served[Symbol.asyncDispose]());

/** Status, code and param of what is refused. */
async function refused(path: string, body?: unknown): Promise<unknown[]> {
  const response = await client.request(path, body);
  const { error } = (await response.json()) as { error: { code: string; param: string | null; message: string } };
  assert.ok(error.message.length > 10, error.message);
  return [response.status, error.code, error.param];
}

const form = (...parts: [string, string | Blob][]): FormData => {
  const made = new FormData();
  for (const [name, value] of parts) made.set(name, value);
  return made;
};

describe('a request for a job that is wrong names what is', () => {
  test('bodies', async () => {
    const good = { input: { documents: ['a red circle'] } };
    for (const [body, param] of [
      [{}, 'input'],
      [{ input: { documents: [] } }, 'input.documents'],
      [{ input: 'a red circle' }, 'input'],
      [{ input: { source: 'pictures' } }, 'input.source'],
      [{ ...good, output: 'csv' }, 'output'],
      [{ ...good, priority: 'urgent' }, 'priority'],
      [{ ...good, completion_window: 'a day' }, 'completion_window'],
      [{ ...good, metadata: { count: 1 } }, 'metadata.count'],
      [{ ...good, dimensions: 0 }, 'dimensions'],
    ] as const) {
      assert.deepEqual(await refused('/jobs', body), [400, 'invalid_request', param], JSON.stringify(body));
    }
    assert.deepEqual(await refused('/jobs', { ...good, model: 'ViT-B-32' }), [404, 'model_not_found', 'model']);
    assert.deepEqual(await refused('/batches', { endpoint: '/v1/embeddings' }), [
      400,
      'invalid_request',
      'input_file_id',
    ]);
    const chat = { input_file_id: 'file-1', endpoint: '/v1/chat/completions' };
    assert.deepEqual(await refused('/batches', chat), [400, 'invalid_request', 'endpoint']);
  });

  test('ids that are nobody’s', async () => {
    const missing = [404, 'not_found', null];
    for (const path of ['/jobs/job_1', '/jobs/job_1/events', '/jobs/job_1/output', '/batches/batch_1', '/files/file-1'])
      assert.deepEqual(await refused(path), missing, path);
    for (const path of ['/files/file-1/content', '/files/..%2F..%2Fetc%2Fpasswd/content', '/files/__proto__'])
      assert.deepEqual(await refused(path), missing, path);
    assert.deepEqual(await refused('/batches/batch_1/cancel', {}), missing);
    assert.deepEqual(await refused('/jobs', { input: { file: 'file-1' } }), missing);
    assert.deepEqual(await refused('/batches', { input_file_id: 'file-1', endpoint: '/v1/embeddings' }), missing);
    // As the Python client of OpenAI asks: a type, and no body.
    const headers = { 'content-type': 'application/json' };
    const empty = await fetch(`${served.flow.url}/v1/batches/batch_1/cancel`, { method: 'POST', headers });
    assert.equal(empty.status, 404);
    assert.deepEqual(await refused('/jobs?limit=1000'), [400, 'invalid_request', 'limit']);
    assert.deepEqual(await refused('/jobs/x/frobnicate', {}), [404, 'unknown_endpoint', null]);
  });

  test('an input file that is deleted before its job is done fails the job', async () => {
    const file = await client.upload(`${'{"text": "a red circle"}\n'.repeat(20_000)}`);
    const id = await client.start({ input: { file } });
    await client.until(id, ({ progress }) => progress.completed > 0);
    assert.equal((await fetch(`${served.flow.url}/v1/files/${file}`, { method: 'DELETE' })).status, 200);
    const job = await client.ended(id);
    assert.deepEqual([job.status, job.errors?.data[0]?.code], ['failed', 'not_found']);
  });

  test('more unfinished jobs than one caller may have', async () => {
    const body = { input: { documents: ['x'.repeat(20)] } };
    const ids: string[] = [];
    for (let i = 0; i < 2; i++) {
      const id = await client.start({ input: { documents: Array<string>(600).fill('a red circle') } });
      await client.act(id, 'pause');
      ids.push(id);
    }
    const response = await client.request('/jobs', body);
    assert.equal(response.status, 429);
    assert.match(await response.text(), /2 jobs are unfinished \(jobs\.max_unfinished\)/);
    for (const id of ids) await client.act(id, 'cancel');
    for (const id of ids) await client.ended(id);
    assert.equal((await client.ended(await client.start(body))).status, 'completed');
  });
});

describe('uploads', () => {
  test('forms that are none', async () => {
    assert.deepEqual(await refused('/files', { purpose: 'batch' }), [400, 'invalid_request', 'file']);
    assert.deepEqual(await refused('/files', form(['purpose', 'batch'])), [400, 'invalid_request', 'file']);
    const nothing = await fetch(`${served.flow.url}/v1/files`, {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=x' },
      body: '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf of it',
    });
    assert.equal(nothing.status, 400);
  });

  test('a file of the limit is taken, one byte more is refused, and nothing is left of it', async () => {
    const upload = async (bytes: number): Promise<number> => {
      const file = new Blob(['x'.repeat(bytes)]);
      return (await client.request('/files', form(['purpose', 'batch'], ['file', file]))).status;
    };
    const before = readdirSync(join(served.folder, 'files/files')).length;
    assert.equal(await upload(FILE_BYTES), 200);
    assert.equal(await upload(FILE_BYTES + 1), 413);
    assert.equal(readdirSync(join(served.folder, 'files/files')).length, before + 1);
    assert.deepEqual(readdirSync(join(served.folder, 'files/~writing')), []);
  });

  /** Sends as a caller does that looks for no answer, until the connection is closed: the answer, and the bytes that went. */
  async function send(
    head: string,
    first: Buffer,
    piece: Buffer,
  ): Promise<{ answer: string; bytes: number; ms: number }> {
    const socket = connect(Number(new URL(served.flow.url).port), '127.0.0.1');
    socket.on('error', () => {}); // It is cut off while it sends.
    let answer = '';
    let answeredAt = Infinity;
    socket.on('data', (data: Buffer) => {
      answeredAt = Math.min(answeredAt, performance.now());
      answer += data.toString('latin1');
    });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const from = performance.now();
    socket.write(
      `POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=x\r\n${head}\r\n\r\n`,
    );
    socket.write(first);
    const pump = (): void => {
      while (piece.length > 0 && socket.bytesWritten < GIB && socket.writable && socket.write(piece));
    };
    socket.on('drain', pump);
    pump();
    await within(closed, 'the server to hang up');
    return { answer, bytes: socket.bytesWritten - socket.writableLength, ms: answeredAt - from };
  }
  const chunk = (bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
  const opening = Buffer.from('--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n');

  test('one that declares more than 2 GB is answered 413 at once', async () => {
    const pieces = [Buffer.alloc(0), Buffer.alloc(MIB)];
    const sent = await Promise.all(pieces.map((piece) => send(`content-length: ${2 * GIB + 1}`, opening, piece)));
    for (const { answer, bytes, ms } of sent) {
      assert.match(answer, /^HTTP\/1\.1 413 /);
      assert.match(answer, /with\.jobs\.file_bytes.*"code":"payload_too_large"/);
      assert.ok(ms < 1000, `${ms} ms`);
      assert.ok(bytes < 32 * MIB, `${bytes} bytes were taken`);
    }
  });

  test('one that does not say its length is cut off soon after the limit', async () => {
    const { answer, bytes } = await send('transfer-encoding: chunked', chunk(opening), chunk(Buffer.alloc(MIB, 'x')));
    assert.match(answer, /^HTTP\/1\.1 413 /);
    assert.match(answer, /"code":"payload_too_large"/);
    assert.ok(bytes >= FILE_BYTES && bytes < FILE_BYTES + 32 * MIB, `${bytes} bytes were taken`);
    assert.deepEqual(readdirSync(join(served.folder, 'files/~writing')), []);
  });
});

describe('without Redis', () => {
  test('a worker whose flow names none says so, and is not worth a restart', async () => {
    const failed = clipflow('worker', 'flows/default.yml');
    await assert.rejects(failed, {
      code: 78,
      stderr: /a worker needs Redis: set with\.redis, CLIPFLOW_REDIS or --redis/,
    });
  });

  test('every route of jobs says that it is away, at once, and embeddings are served', async () => {
    const gone = served.flow.event(({ event, process }) => event === 'redis_unavailable' && process === 'gateway');
    await served.redis.stop();
    await gone;
    const from = performance.now();
    const away = [503, 'unavailable', null];
    for (const path of ['/jobs', '/jobs/job_1', '/batches', '/files', '/files/file-1/content'])
      assert.deepEqual(await refused(path), away, path);
    assert.deepEqual(await refused('/files', form(['file', new Blob(['{}'])])), away);
    assert.equal((await fetch(`${served.flow.url}/queues`)).status, 503);
    assert.equal((await client.request('/embeddings', { input: 'a red circle' })).status, 200);
    assert.ok(performance.now() - from < 5000);
  });
});
