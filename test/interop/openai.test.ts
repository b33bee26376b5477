import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { CohereClient, CohereClientV2 } from 'cohere-ai';
import OpenAI from 'openai';
import { z } from 'zod';
import { FlowProcess, ROOT } from '../support/flow-process.js';
import { findPython, pythonWith } from '../support/python.js';
import { RedisServer } from '../support/redis-server.js';
import { readFixture } from '../support/samples.js';
import { tokensFile } from '../support/tokens.js';
import { cosine } from '../support/vectors.js';

const MODEL = 'tiny-clip';
const TOKEN = 'a secret of alice';
const IMAGE = '023.png';

const Reference = z.object({ texts: z.array(z.object({ text: z.string(), ids: z.array(z.number()) })) });

/** Ids and vectors of the same texts by Python: the published tokenizer, onnxruntime on the model's files. */
const reference = Reference.parse(JSON.parse(readFileSync(join(ROOT, 'models/tiny-clip/reference.json'), 'utf8')));
const vectorOf = new Map(
  readFixture<{ texts: { text: string; embedding: number[] }[] }>('skills', 'expected.json').texts.map(
    ({ text, embedding }) => [text, embedding],
  ),
);
const texts = reference.texts.filter(({ text, ids }) => text !== '' && ids.length < 77);
const imageVectors = readFixture<Record<string, number[]>>('images', 'embeddings.json');
const image = readFileSync(join(ROOT, 'models/tiny-clip/samples', IMAGE)).toString('base64');
const TOKENS = texts.reduce((sum, { ids }) => sum + ids.length, 0);

/** The model's direction, at length 1. */
function assertVector(ours: readonly number[], wanted: readonly number[] | undefined, least = 0.9999): void {
  assert.ok(cosine(ours, wanted ?? []) >= least, `cosine ${cosine(ours, wanted ?? [])}`);
  assert.ok(Math.abs(Math.hypot(...ours) - 1) < 1e-6, `length ${Math.hypot(...ours)}`);
}

function assertTexts(ours: readonly (readonly number[])[], wanted = texts): void {
  assert.equal(ours.length, wanted.length);
  ours.forEach((vector, index) => assertVector(vector, vectorOf.get(wanted[index]?.text ?? '')));
}

const assertImage = (ours: readonly number[] = []): void => assertVector(ours, imageVectors[IMAGE], 0.999);

let folder: string;
let redis: RedisServer;
let flow: FlowProcess;

before(async () => {
  redis = await RedisServer.start();
  folder = mkdtempSync(join(tmpdir(), 'clipflow-openai-'));
  const env = { ...tokensFile(folder, { alice: TOKEN }), CLIPFLOW_REDIS: redis.url, XDG_DATA_HOME: folder };
  flow = await FlowProcess.start({ env });
});
after(async () => {
  await flow.stop();
  await redis[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

describe('the openai client of npm', () => {
  const client = (apiKey = TOKEN): OpenAI => new OpenAI({ baseURL: `${flow.url}/v1`, apiKey, maxRetries: 0 });
  /** Its types know OpenAI's own forms of input alone. */
  const embed = (input: unknown, options: object = {}) =>
    client().embeddings.create({ model: MODEL, input, ...options } as OpenAI.EmbeddingCreateParams);
  const vectorsOf = (answer: OpenAI.CreateEmbeddingResponse): number[][] =>
    answer.data.map(({ embedding }) => embedding);

  test('a string; usage counts the tokens as the published tokenizer does', async () => {
    const [first] = texts;
    assert.ok(first);
    const answer = await embed(first.text);
    assertTexts(vectorsOf(answer), [first]);
    assert.deepEqual(answer.usage, { prompt_tokens: first.ids.length, total_tokens: first.ids.length });
    assert.deepEqual([answer.model, answer.object, answer.data[0]?.object], [MODEL, 'list', 'embedding']);
  });
  test('strings, as floats and as the base64 that it asks for by itself: the same numbers', async () => {
    const input = texts.map(({ text }) => text);
    const [floats, decoded] = await Promise.all([embed(input, { encoding_format: 'float' }), embed(input)]);
    assertTexts(vectorsOf(decoded));
    assert.deepEqual(vectorsOf(floats), vectorsOf(decoded));
    assert.equal(decoded.usage.total_tokens, TOKENS);
  });
  test('tokens of the model, with and without padding', async () => {
    const padded = texts.map(({ ids }) => [...ids, ...Array<number>(77 - ids.length).fill(0)]);
    const answers = await Promise.all([embed(texts.map(({ ids }) => ids)), embed(padded)]);
    for (const answer of answers) {
      assertTexts(vectorsOf(answer));
      assert.equal(answer.usage.total_tokens, TOKENS);
    }
    assertTexts(vectorsOf(await embed(texts[0]?.ids)), texts.slice(0, 1));
  });
  test('objects with text and image: base64, data uri', async () => {
    const uri = `data:image/png;base64,${image}`;
    const [text, ...pictures] = vectorsOf(await embed([{ text: texts[0]?.text }, { image }, { image: uri }]));
    assertTexts([text ?? []], texts.slice(0, 1));
    pictures.forEach(assertImage);
    assert.equal(pictures.length, 2);
    assertImage(vectorsOf(await embed([uri], { modality: 'image' }))[0]);
  });
  test('models', async () => {
    const models = await client().models.list();
    assert.deepEqual(
      models.data.map(({ id, object, owned_by }) => ({ id, object, owned_by })),
      [{ id: MODEL, object: 'model', owned_by: 'clipflow' }],
    );
    assert.equal((await client().models.retrieve(MODEL)).id, MODEL);
  });

  /** What the client raises: its class tells the status. */
  const refuses = async (call: PromiseLike<unknown>, type: unknown, fields: object): Promise<void> => {
    const error = await Promise.resolve(call).then(
      () => assert.fail('it was served'),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof OpenAI.APIError && error instanceof (type as typeof OpenAI.APIError), String(error));
    const { status, code, param, type: kind } = Refusal.parse(error);
    assert.deepEqual({ status, code, param, type: kind }, { type: 'invalid_request_error', ...fields });
  };
  const Refusal = z.object({ status: z.number(), code: z.string(), param: z.string().nullable(), type: z.string() });
  const bad = { status: 400, code: 'invalid_request' };

  test('what it raises', async () => {
    const { AuthenticationError, BadRequestError, NotFoundError } = OpenAI;
    const unknown = { status: 404, code: 'model_not_found', param: 'model' };
    await refuses(client('stranger').models.list(), AuthenticationError, {
      status: 401,
      code: 'invalid_api_key',
      param: null,
    });
    await refuses(client().models.retrieve('text-embedding-3-small'), NotFoundError, unknown);
    await refuses(embed('x', { model: 'text-embedding-3-small' }), NotFoundError, unknown);
    await refuses(embed(''), BadRequestError, { ...bad, param: 'input' });
    await refuses(embed(['x', '']), BadRequestError, { ...bad, param: 'input[1]' });
    await refuses(embed([]), BadRequestError, { ...bad, param: 'input' });
    await refuses(embed(undefined), BadRequestError, { ...bad, param: 'input' });
    await refuses(embed('x', { dimensions: 64 }), BadRequestError, { ...bad, param: 'dimensions' });
    await refuses(embed('x', { encoding_format: 'hex' }), BadRequestError, { ...bad, param: 'encoding_format' });
    // "hello world" by OpenAI's cl100k_base.
    await refuses(embed([15339, 1917]), BadRequestError, { status: 400, code: 'invalid_document', param: 'input' });
    await refuses(embed([{ image: 'http://127.0.0.1:1/' }]), BadRequestError, {
      status: 400,
      code: 'uri_forbidden',
      param: 'input[0]',
    });
  });
});

describe('the cohere client of npm', () => {
  /** The best first, by cosines of the vectors that Python computed. */
  const [query, ...documents] = texts.map(({ text }) => text);
  const expected = documents
    .map((text, index) => ({ index, score: cosine(vectorOf.get(query ?? '') ?? [], vectorOf.get(text) ?? []) }))
    .sort((a, b) => b.score - a.score);

  for (const [name, Client] of Object.entries({ v1: CohereClient, v2: CohereClientV2 })) {
    test(`rerank, ${name}`, async () => {
      const client = new Client({ token: TOKEN, environment: flow.url });
      const { results } = await client.rerank({ model: MODEL, query: query ?? '', documents, topN: 3 });
      assert.deepEqual(
        results.map(({ index }) => index),
        expected.slice(0, 3).map(({ index }) => index),
      );
      results.forEach(({ relevanceScore }, place) =>
        assert.ok(Math.abs(relevanceScore - (expected[place]?.score ?? NaN)) < 1e-4),
      );
    });
  }
  test('rerank, v1: documents come back on demand', async () => {
    const client = new CohereClient({ token: TOKEN, environment: flow.url });
    const { results } = await client.rerank({ query: query ?? '', documents, returnDocuments: true });
    assert.deepEqual(
      results.map(({ document }) => document?.text),
      expected.map(({ index }) => documents[index]),
    );
  });
});

const python = findPython();
const skip = python === undefined && 'Python 3 with venv is missing: the published client cannot be run';

describe('the openai client of Python', { skip }, () => {
  const Embedded = z.object({
    vectors: z.array(z.array(z.number())),
    tokens: z.array(z.number()),
    model: z.literal(MODEL),
  });
  const Batch = z.looseObject({ vectors: z.array(z.array(z.number())) });
  let outcomes: Record<string, unknown>;

  before(async () => {
    const requirements = join(ROOT, 'test/interop/requirements-openai.txt');
    const made = await pythonWith(python ?? '', 'openai-venv', requirements);
    const given = {
      url: flow.url,
      token: TOKEN,
      model: MODEL,
      texts: texts.map(({ text }) => text),
      tokens: texts.map(({ ids }) => ids),
      image,
    };
    const driver = join(ROOT, 'test/interop/openai_driver.py');
    const running = promisify(execFile)(made, [driver], { timeout: 60_000, maxBuffer: 1e8 });
    running.child.stdin?.end(JSON.stringify(given));
    outcomes = z.record(z.string(), z.unknown()).parse(JSON.parse((await running).stdout));
  });
  const vectorsOf = (scenario: string): number[][] => Embedded.parse(outcomes[scenario]).vectors;

  test('a string, strings, tokens', () => {
    for (const one of ['string', 'tokens']) assertTexts(vectorsOf(one), texts.slice(0, 1));
    for (const all of ['strings', 'floats', 'base64', 'token_arrays']) {
      assertTexts(vectorsOf(all));
      assert.deepEqual(Embedded.parse(outcomes[all]).tokens, [TOKENS, TOKENS]);
    }
    for (const same of ['floats', 'base64']) assert.deepEqual(vectorsOf(same), vectorsOf('strings'));
  });
  test('images', () => {
    for (const one of ['data_uri', 'infinity']) assertImage(vectorsOf(one)[0]);
    const [text, picture] = vectorsOf('objects');
    assertTexts([text ?? []], texts.slice(0, 1));
    assertImage(picture);
  });
  test('files and batches', () => {
    const { vectors, ...told } = Batch.parse(outcomes.batch);
    assertTexts(vectors);
    assert.deepEqual(told, {
      status: 'completed',
      metadata: { by: 'python' },
      counts: [texts.length + 1, texts.length, 1],
      ids: texts.map((_, i) => `r${i}`),
      errors: [['bad', 404, 'model_not_found']],
      listed: true,
      deleted: true,
    });
    const cancelled = z.object({ status: z.string(), cancelled_at: z.number() }).parse(outcomes.cancelled_batch);
    assert.equal(cancelled.status, 'cancelled');
  });
  test('models', () => {
    assert.deepEqual(outcomes.models, [MODEL]);
    assert.equal(outcomes.model, MODEL);
  });
  test('what it raises', () => {
    const Raised = z.object({
      raised: z.array(z.string()),
      status: z.number(),
      code: z.string(),
      param: z.string().nullable(),
      type: z.literal('invalid_request_error'),
    });
    const assertRaised = (scenario: string, ...wanted: unknown[]): void => {
      const { raised, status, code, param } = Raised.parse(outcomes[scenario]);
      assert.deepEqual([raised[0], status, code, param], wanted, scenario);
    };
    assertRaised('unknown_model', 'NotFoundError', 404, 'model_not_found', 'model');
    assertRaised('unknown_model_of_embeddings', 'NotFoundError', 404, 'model_not_found', 'model');
    assertRaised('empty', 'BadRequestError', 400, 'invalid_request', 'input');
    assertRaised('foreign_tokens', 'BadRequestError', 400, 'invalid_document', 'input');
    assertRaised('dimensions', 'BadRequestError', 400, 'invalid_request', 'dimensions');
    assertRaised('bad_image', 'BadRequestError', 400, 'invalid_document', 'input[1]');
    assertRaised('private_uri', 'BadRequestError', 400, 'uri_forbidden', 'input[0]');
    for (const unknown of ['unknown_batch', 'unknown_file', 'unknown_input'])
      assertRaised(unknown, 'NotFoundError', 404, 'not_found', null);
    assertRaised('no_token', 'AuthenticationError', 401, 'invalid_api_key', null);
  });
});
