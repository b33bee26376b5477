import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { FlowProcess, ROOT } from '../support/flow-process.js';
import { readFixture } from '../support/samples.js';
import { tokensFile } from '../support/tokens.js';
import { cosine } from '../support/vectors.js';

const SHIPPED = join(ROOT, 'models/tiny-clip');

interface Skill {
  skill: string;
  file: string;
  prompts: string[];
  truth: number;
}
/** By Python: vectors of texts and images, and what the pictures show. */
const skills = readFixture<{ texts: { text: string; embedding: number[] }[]; tasks: Skill[] }>(
  'skills',
  'expected.json',
);
const texts = skills.texts.filter(({ text }) => text !== '');
const pictures = Object.entries(readFixture<Record<string, number[]>>('images', 'embeddings.json')).slice(0, 5);
const { logit_scale: SCALE } = z
  .object({ logit_scale: z.number() })
  .parse(JSON.parse(readFileSync(join(SHIPPED, 'config.json'), 'utf8')));

const base64 = (file: string): string => readFileSync(join(SHIPPED, 'samples', file)).toString('base64');

const Embeddings = z.object({
  model: z.string(),
  data: z.array(z.object({ index: z.number(), embedding: z.array(z.number()) })),
});
const Ranked = z.object({
  results: z.array(z.object({ index: z.number(), relevance_score: z.number(), document: z.unknown().optional() })),
});
const Classified = z.object({
  data: z.array(
    z.object({
      object: z.literal('classification'),
      index: z.number(),
      prediction: z.string(),
      score: z.number(),
      predictions: z.array(z.object({ label: z.string(), score: z.number() })),
    }),
  ),
  usage: z.object({ prompt_tokens: z.number(), total_tokens: z.number() }),
});
const Failure = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

/** A deadline that nothing meets. */
const SOON = { 'x-request-timeout': '0.000001' };

async function ask(
  flow: FlowProcess,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  const sent = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  return fetch(flow.url + path, { method: sent === undefined ? 'GET' : 'POST', headers, ...(sent && { body: sent }) });
}

async function served<T extends z.ZodType>(schema: T, ...call: Parameters<typeof ask>): Promise<z.output<T>> {
  const response = await ask(...call);
  assert.equal(response.status, 200, await response.clone().text());
  return schema.parse(await response.json());
}

async function refused(...call: Parameters<typeof ask>): Promise<unknown[]> {
  const response = await ask(...call);
  const { error } = Failure.parse(await response.json());
  return [response.status, error.type, error.code, error.param];
}

describe('one model', () => {
  let flow: FlowProcess;
  before(async () => (flow = await FlowProcess.start()));
  after(() => flow.stop());

  test('rerank: images by a text, in the order of the cosines of Python’s vectors', async () => {
    const [query] = texts;
    const documents = pictures.map(([file]) => ({ image: base64(file) }));
    const { results } = await served(Ranked, flow, '/v1/rerank', {
      query: query?.text,
      documents,
      return_documents: true,
    });
    const wanted = pictures
      .map(([, vector], index) => ({ index, score: cosine(query?.embedding ?? [], vector) }))
      .sort((a, b) => b.score - a.score);
    assert.deepEqual(
      results.map(({ index }) => index),
      wanted.map(({ index }) => index),
    );
    results.forEach(({ index, relevance_score, document }, place) => {
      assert.ok(Math.abs(relevance_score - (wanted[place]?.score ?? NaN)) < 5e-3);
      assert.deepEqual(document, documents[index]);
    });
    const few = await served(Ranked, flow, '/v1/rerank', { query: query?.text, documents, top_n: 2 });
    assert.deepEqual(
      few.results,
      results.slice(0, 2).map(({ index, relevance_score }) => ({ index, relevance_score })),
    );
  });

  test('classify: softmax over the labels of the cosines times the model’s logit scale', async () => {
    const labels = texts.slice(0, 4).map(({ text }) => text);
    const { data } = await served(Classified, flow, '/v1/classify', {
      input: pictures.map(([file]) => ({ image: base64(file) })),
      labels,
      template: '{}',
    });
    pictures.forEach(([, vector], index) => {
      const weights = texts.slice(0, 4).map(({ embedding }) => Math.exp(SCALE * cosine(vector, embedding)));
      const sum = weights.reduce((a, b) => a + b, 0);
      const answer = data[index];
      assert.ok(answer);
      assert.deepEqual(
        answer.predictions.map(({ label }) => label),
        labels,
      );
      answer.predictions.forEach(({ score }, i) => assert.ok(Math.abs(score - (weights[i] ?? NaN) / sum) < 0.05));
      assert.equal(answer.score, Math.max(...answer.predictions.map(({ score }) => score)));
      assert.equal(answer.prediction, answer.predictions.find(({ score }) => score === answer.score)?.label);
    });
  });

  test('classify: the caption of CLIP’s authors finds what the pictures show; texts are compared with bare labels', async () => {
    const tasks = skills.tasks.filter(({ skill }) => skill === 'shape');
    const labels = (tasks[0]?.prompts ?? []).map((prompt) => prompt.replace('a photo of a ', ''));
    const input = [...tasks.map(({ file }) => ({ image: base64(file) })), 'a star', { text: 'heart' }];
    const { data } = await served(Classified, flow, '/v1/classify', { input, labels });
    assert.deepEqual(
      data.map(({ prediction }) => prediction),
      [...tasks.map(({ truth }) => labels[truth]), 'star', 'heart'],
    );
  });

  test('errors have OpenAI’s shape, with its statuses', async () => {
    const bad = [400, 'invalid_request_error', 'invalid_request'];
    const embed = (body: unknown, headers = {}) => refused(flow, '/v1/embeddings', body, headers);
    assert.deepEqual(await embed('{"input": '), [...bad, null]);
    assert.deepEqual(await embed('[]'), [...bad, 'body']);
    assert.deepEqual(await embed({ input: 'x', dimensions: 0 }), [...bad, 'dimensions']);
    assert.deepEqual(await embed({ input: [{ image: '%%' }] }), [...bad, 'input[0]']);
    assert.deepEqual(await embed({ input: [{}] }), [...bad, 'input[0]']);
    assert.deepEqual(await embed({ input: 'x' }, { 'x-priority': 'urgent' }), [...bad, null]);
    const late = await embed({ input: 'never seen' }, SOON);
    assert.deepEqual(late, [504, 'server_error', 'deadline_exceeded', 'input']);
    const rerank = (body: unknown) => refused(flow, '/v1/rerank', body);
    assert.deepEqual(await rerank({ documents: ['x'] }), [...bad, 'query']);
    assert.deepEqual(await rerank({ query: 'x', documents: [] }), [...bad, 'documents']);
    assert.deepEqual(await rerank({ query: 'x', documents: ['y', 1] }), [...bad, 'documents[1]']);
    const classify = (body: unknown) => refused(flow, '/v1/classify', body);
    assert.deepEqual(await classify({ input: ['x'], labels: [] }), [...bad, 'labels']);
    assert.deepEqual(await classify({ input: ['x'], labels: ['y'], template: 'z' }), [...bad, 'template']);
    const nowhere = [404, 'invalid_request_error', 'unknown_endpoint', null];
    assert.deepEqual(await refused(flow, '/v1/chat/completions', {}), nowhere);
    assert.deepEqual(await refused(flow, '/v1/embeddings'), nowhere);
    assert.equal((await ask(flow, '/nowhere')).status, 404);
    assert.match(await (await ask(flow, '/v1/batches')).text(), /bulk jobs need Redis \(with\.redis of the flow\)/);
  });

  test('partial: what is wrong with an input stands in its place, and the others are embedded', async () => {
    const Partial = z.object({ data: z.array(z.looseObject({ object: z.string(), index: z.number() })) });
    const [first, second] = texts;
    const bad = ['', { image: '%%' }, {}, { image: Buffer.from('no image').toString('base64') }];
    const input = [first?.text, ...bad, second?.text];
    const { data } = await served(Partial, flow, '/v1/embeddings', { input, partial: true });
    assert.deepEqual(
      data.map(({ object, index }) => [object, index]),
      ['embedding', ...bad.map(() => 'error'), 'embedding'].map((object, index) => [object, index]),
    );
    assert.deepEqual(
      data.slice(1, -1).map((entry) => Failure.parse({ error: entry.error }).error),
      await Promise.all(
        bad.map(async (one, i) => {
          const alone = await ask(flow, '/v1/embeddings', { input: [one] });
          const { error } = Failure.parse(await alone.json());
          const name = `input[${i + 1}]`;
          return { ...error, param: name, message: error.message.replace('input[0]', name) };
        }),
      ),
    );
    for (const [entry, text] of [
      [data[0], first],
      [data.at(-1), second],
    ] as const) {
      assert.ok(cosine(z.array(z.number()).parse(entry?.embedding), text?.embedding ?? []) > 0.9999);
    }
    const none = await served(Partial, flow, '/v1/embeddings', { input: '', partial: true });
    assert.deepEqual(
      none.data.map(({ object }) => object),
      ['error'],
    );
    // What another try may mend is no fault of an input.
    const late = await refused(flow, '/v1/embeddings', { input: ['', 'never asked'], partial: true }, SOON);
    assert.deepEqual(late, [504, 'server_error', 'deadline_exceeded', 'input[1]']);
  });

  test('a request has an id: the caller’s, or one of ours', async () => {
    const idOf = async (...call: Parameters<typeof ask>): Promise<string | null> =>
      (await ask(...call)).headers.get('x-request-id');
    const body = { input: 'a red circle' };
    assert.equal(await idOf(flow, '/v1/embeddings', body, { 'x-request-id': 'mine-1' }), 'mine-1');
    const ids = [await idOf(flow, '/v1/embeddings', body), await idOf(flow, '/v1/embeddings', { input: '' })];
    for (const id of ids) assert.match(id ?? '', /^req_[0-9a-f]{32}$/);
    assert.notEqual(ids[0], ids[1]);
  });

  test('bulk work is served; metrics and the OpenAPI document cover it', async () => {
    const body = { model: 'tiny-clip', input: 'a red circle' };
    await served(Embeddings, flow, '/v1/embeddings', body, { 'x-priority': 'bulk' });
    const metrics = await (await ask(flow, '/metrics')).text();
    assert.match(metrics, /clipflow_requests_total\{protocol="openai",endpoint="\/v1\/embeddings",code="OK"\} [1-9]/);
    const { paths } = await served(z.object({ paths: z.record(z.string(), z.unknown()) }), flow, '/openapi.json');
    for (const path of [
      '/v1/embeddings',
      '/v1/rerank',
      '/v2/rerank',
      '/v1/classify',
      '/v1/models',
      '/v1/models/{model}',
    ])
      assert.ok(path in paths, path);
  });
});

test('several encoders: `model` says which; matryoshka models may be cut; SigLIP’s scores are sigmoids', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'clipflow-models-'));
  for (const file of ['textual.onnx', 'visual.onnx', 'bpe_simple_vocab_16e6.txt.gz'])
    copyFileSync(join(SHIPPED, file), join(folder, file));
  const config = { context_length: 77, matryoshka_dimensions: [64, 512], logit_scale: 10, logit_bias: -4 };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const text = `
executors:
  - { name: plain, uses: CLIPEncoder, uses_with: { name: tiny-clip, device: cpu } }
  - name: unit
    uses: CLIPEncoder
    uses_with:
      device: cpu
      normalize: true # so that it shows who answered
      models: [{ name: org/cut, model_path: '${folder}' }, { name: third, model_path: '${SHIPPED}' }]
`;
  try {
    await using flow = await FlowProcess.start({ text });
    const Models = z.object({ data: z.array(z.object({ id: z.string() })) });
    const { data: models } = await served(Models, flow, '/v1/models');
    assert.deepEqual(
      models.map(({ id }) => id),
      ['tiny-clip', 'org/cut', 'third'],
    );
    await served(z.object({ id: z.literal('org/cut') }), flow, '/v1/models/org/cut');
    await served(z.object({ id: z.literal('org/cut') }), flow, `/v1/models/${encodeURIComponent('org/cut')}`);

    const [first] = texts;
    const embed = async (model: string, options = {}): Promise<number[]> => {
      const body = { input: first?.text, model, ...options };
      const answer = await served(Embeddings, flow, '/v1/embeddings', body);
      assert.equal(answer.model, model);
      return answer.data[0]?.embedding ?? [];
    };
    const near = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-3, `${a} is not ${b}`);
    near(Math.hypot(...(await embed('tiny-clip', { normalized: false }))), Math.hypot(...(first?.embedding ?? [])));
    near(Math.hypot(...(await embed('org/cut', { normalized: false }))), 1);
    near(Math.hypot(...(await embed('third', { normalized: false }))), 1);

    const cut = await embed('org/cut', { dimensions: 64 });
    assert.equal(cut.length, 64);
    near(Math.hypot(...cut), 1);
    assert.ok(cosine(cut, first?.embedding.slice(0, 64) ?? []) > 0.9999);
    assert.equal((await embed('tiny-clip', { dimensions: 512 })).length, 512);
    const refusal = [400, 'invalid_request_error', 'invalid_request'];
    const wrong = { input: 'x', model: 'org/cut', dimensions: 65 };
    assert.deepEqual(await refused(flow, '/v1/embeddings', wrong), [...refusal, 'dimensions']);
    assert.deepEqual(await refused(flow, '/v1/embeddings', { input: 'x' }), [...refusal, 'model']);

    const labels = texts.slice(1, 4);
    const body = { model: 'org/cut', input: [first?.text], labels: labels.map((one) => one.text) };
    const { data } = await served(Classified, flow, '/v1/classify', body);
    labels.forEach(({ embedding }, i) =>
      near(
        data[0]?.predictions[i]?.score ?? NaN,
        1 / (1 + Math.exp(4 - 10 * cosine(first?.embedding ?? [], embedding))),
      ),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('quotas and limits: 401, 413, 429 with retry-after; 503 while no replica has come', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'clipflow-openai-'));
  const env = tokensFile(folder, { bob: { token: 'b-secret', max_documents: 2 } });
  try {
    const authorization = 'Bearer b-secret';
    const clip = (replicas: number) => `executors: [{ name: clip, uses: CLIPEncoder, replicas: ${replicas} }]\n`;
    {
      const text = 'with: { limits: { body_bytes: 1000 } }\n' + clip(1);
      await using flow = await FlowProcess.start({ text, env });
      const embed = (input: unknown) => ask(flow, '/v1/embeddings', { input }, { authorization });
      const together = await Promise.all(Array.from({ length: 8 }, () => embed(['a', 'b'])));
      const statuses = together.map(({ status }) => status);
      assert.ok(statuses.includes(200) && statuses.includes(429), String(statuses));
      const refusal = together.find(({ status }) => status === 429);
      assert.equal(refusal?.headers.get('retry-after'), '1');
      const { error } = Failure.parse(await refusal?.json());
      assert.deepEqual([error.type, error.code], ['rate_limit_error', 'rate_limit_exceeded']);
      const unknown = [401, 'invalid_request_error', 'invalid_api_key', null];
      assert.deepEqual(await refused(flow, '/v1/embeddings', { input: 'x' }), unknown);
      assert.deepEqual(await refused(flow, '/v1/models'), unknown);
      const large = await refused(flow, '/v1/embeddings', { input: 'x'.repeat(2000) }, { authorization });
      assert.deepEqual(large, [413, 'invalid_request_error', 'payload_too_large', null]);
    }
    await using empty = await FlowProcess.start({ text: clip(0) });
    const response = await ask(empty, '/v1/embeddings', { input: 'x', model: 'tiny-clip' });
    assert.equal(response.status, 503);
    assert.equal(response.headers.get('retry-after'), '1');
    assert.deepEqual(Failure.parse(await response.json()).error.code, 'unavailable');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
