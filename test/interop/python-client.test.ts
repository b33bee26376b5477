import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { Certificate } from '../support/certificate.js';
import { FlowProcess, ROOT } from '../support/flow-process.js';
import { freePort } from '../support/ports.js';
import { findPython, pythonWith } from '../support/python.js';
import { readFixture } from '../support/samples.js';
import { tokensFile } from '../support/tokens.js';
import { cosine, median } from '../support/vectors.js';
import { Outcomes } from './driver.js';

const FLOW = `
jtype: Flow
executors:
  - { name: clip_o, uses: CLIPEncoder, uses_with: { device: cpu } }
`;

const Vectors = z.array(z.array(z.number()));
const Scores = z.object({ id: z.string(), clip_score: z.number(), clip_score_cosine: z.number() });
const Ranked = z.array(z.object({ id: z.string(), matches: z.array(Scores) }));

/** Computed by Python: PIL, ftfy and onnxruntime on the model's files. An empty text has no embedding, as published. */
const TEXTS = readFixture<{ texts: { text: string; embedding: number[] }[] }>('skills', 'expected.json').texts.filter(
  ({ text }) => text !== '',
);
const IMAGES = Object.entries(readFixture<Record<string, number[]>>('images', 'embeddings.json')).map(
  ([file, embedding]) => ({ path: join(ROOT, 'models/tiny-clip/samples', file), embedding }),
);
const texts = TEXTS.map(({ text }) => text);
const images = IMAGES.map(({ path }) => path);
const textVectors = TEXTS.map(({ embedding }) => embedding);
const imageVectors = IMAGES.map(({ embedding }) => embedding);

function assertTexts(ours: number[][], wanted = textVectors): void {
  assert.equal(ours.length, wanted.length);
  ours.forEach((vector, i) => assert.ok(cosine(vector, wanted[i] ?? []) >= 0.9999, `text ${i}`));
}

function assertImages(ours: number[][], wanted = imageVectors): void {
  assert.equal(ours.length, wanted.length);
  const cosines = ours.map((vector, i) => cosine(vector, wanted[i] ?? []));
  assert.ok(Math.min(...cosines) >= 0.99 && median(cosines) >= 0.9995, `cosines ${cosines.join(' ')}`);
}

/** OpenAI's formula, as CLIP-as-service has it: softmax over a query's matches of 100 times the cosine. */
function publishedScores(query: number[], matches: number[][]): { clip_score: number; clip_score_cosine: number }[] {
  const cosines = matches.map((match) => cosine(query, match));
  const weights = cosines.map((one) => Math.exp(100 * one));
  const sum = weights.reduce((a, b) => a + b, 0);
  return cosines.map((one, i) => ({ clip_score: (weights[i] ?? NaN) / sum, clip_score_cosine: one }));
}

const python = findPython();
const skip = python === undefined && 'Python 3 with venv is missing: the published client cannot be run';

describe('the unmodified Python client', { skip }, () => {
  let made: string;
  let folder: string;
  let input: { texts: string[]; images: string[]; folder: string };

  before(async () => {
    made = await pythonWith(python ?? '', 'interop-venv', join(ROOT, 'test/interop/requirements.txt'));
    folder = mkdtempSync(join(tmpdir(), 'clipflow-interop-'));
    input = { texts, images, folder };
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  describe('in clear text', () => {
    const schemes = ['grpc', 'http', 'ws'] as const;
    const scenarios = [
      ...['texts', 'generator', 'image_files', 'http_uris', 'data_uris', 'mixed', 'asynchronous', 'rank', 'arank'],
      ...['profile', 'index_and_search', 'batch_sizes', 'progress', 'in_parallel', 'callbacks', 'bad_image'],
      ...['bad_image_on_error', 'model_name', 'large_image', 'responses', 'nobody_targeted', 'variants', 'ready'],
    ];
    let outcomes: Outcomes;
    let down: Outcomes;
    let port: string;
    let dead: number;

    before(async () => {
      await using flow = await FlowProcess.start({ text: FLOW });
      ({ port } = new URL(flow.url));
      const urls = schemes.map((scheme) => `${scheme}://127.0.0.1:${port}`);
      outcomes = await Outcomes.of(made, { ...input, urls, scenarios });
      dead = await freePort();
      const nowhere = schemes.map((scheme) => `${scheme}://127.0.0.1:${dead}`);
      down = await Outcomes.of(made, { ...input, urls: nowhere, scenarios: ['texts', 'ready'] });
    });

    for (const scheme of schemes) {
      const result = <T extends z.ZodType>(scenario: string, schema: T): z.output<T> =>
        outcomes.result(`${scheme}://127.0.0.1:${port}`, scenario, schema);

      describe(scheme, () => {
        test('encode: texts', () => assertTexts(result('texts', Vectors)));
        test('encode: a generator', () => assertTexts(result('generator', Vectors), textVectors.slice(0, 5)));
        test('encode: image files', () => assertImages(result('image_files', Vectors)));
        test('encode: http uris', () => assertImages(result('http_uris', Vectors), imageVectors.slice(0, 3)));
        test('encode: data uris', () => assertImages(result('data_uris', Vectors), imageVectors.slice(0, 3)));
        test('encode: text, blob, tensor and uri in one array', () => {
          const { ids, vectors, path } = result(
            'mixed',
            z.object({ ids: z.literal(true), vectors: Vectors, path: z.string() }),
          );
          assert.ok(ids);
          const image = imageVectors[images.indexOf(path)] ?? [];
          assertTexts(vectors.slice(0, 1), textVectors.slice(0, 1));
          assertImages(vectors.slice(1), [image, image, image]);
        });
        test('aencode: texts and images side by side', () => {
          const [first = [], second = []] = result('asynchronous', z.array(Vectors));
          assertTexts(first, textVectors.slice(0, 3));
          assertImages(second, imageVectors.slice(0, 2));
        });
        for (const scenario of ['rank', 'arank']) {
          test(`${scenario}: scores are the published formula`, () => {
            const vectorOf: Record<string, number[]> = {};
            result('texts', Vectors).forEach((vector, i) => (vectorOf[`t${i}`] = vector));
            result('image_files', Vectors).forEach((vector, i) => (vectorOf[`i${i}`] = vector));
            const ranked = result(scenario, Ranked);
            assert.deepEqual(
              ranked.map(({ id, matches }) => [id, matches.length]),
              [
                ['i0', 4],
                ['t1', 3],
              ],
            );
            for (const { id, matches } of ranked) {
              const scores = matches.map((match) => match.clip_score);
              assert.deepEqual(
                scores,
                [...scores].sort((a, b) => b - a),
              );
              const wanted = publishedScores(
                vectorOf[id] ?? [],
                matches.map((match) => vectorOf[match.id] ?? []),
              );
              matches.forEach((match, i) => {
                for (const name of ['clip_score', 'clip_score_cosine'] as const)
                  assert.ok(Math.abs(match[name] - (wanted[i]?.[name] ?? NaN)) <= 1e-5, `${id} ${match.id} ${name}`);
              });
            }
          });
        }
        test('profile', () => {
          for (const profile of result('profile', z.array(z.record(z.string(), z.number())))) {
            assert.ok((profile.Roundtrip ?? 0) > 0 && (profile.Server ?? 0) >= 1);
            assert.ok((profile['CLIP model'] ?? -1) >= 0);
          }
        });
        test('index and search with an encoder alone encode', () => {
          const Found = z.object({ indexed: Vectors, found: z.number(), matches: z.number() });
          const { indexed, ...rest } = result('index_and_search', Found);
          assertTexts(indexed, textVectors.slice(0, 2));
          assert.deepEqual(rest, { found: 2, matches: 0 });
        });
        test('every batch size gives the same', () => {
          const sizes = result('batch_sizes', z.array(Vectors));
          assert.equal(sizes.length, 6);
          for (const vectors of sizes) assertTexts(vectors, textVectors.slice(0, 5));
        });
        test('show_progress', () => assertTexts(result('progress', Vectors), textVectors.slice(0, 3)));
        test('clients side by side, few and many requests under way: each its own, in order', () =>
          assertTexts(result('in_parallel', Vectors)));
        test('callbacks', () => {
          const twice = (name: string): unknown[] => [name, 2];
          assert.deepEqual(result('callbacks', z.object({ calls: z.unknown(), result: z.null() })), {
            calls: [twice('on_always'), twice('on_always'), twice('on_done'), twice('on_done')],
            result: null,
          });
        });
        test('a bad image without on_error: BadServer', () => {
          const { types, message } = outcomes.error(`${scheme}://127.0.0.1:${port}`, 'bad_image');
          assert.equal(types[0], 'BadServer');
          assert.match(message, /INVALID_DOCUMENT: document 1 \(id bad\)/);
        });
        test('a bad image with on_error: its request alone fails', () => {
          const { description, ...rest } = result('bad_image_on_error', z.looseObject({ description: z.string() }));
          assert.match(description, /INVALID_DOCUMENT: document 0 \(id bad\)/);
          assert.deepEqual(rest, {
            errors: 1,
            done: ['after', 'before'],
            id: 'bad',
            kept: true,
            exception: 'INVALID_DOCUMENT',
          });
        });
        test('a model named in the parameters is its own endpoint', () =>
          assertTexts(result('model_name', Vectors), textVectors.slice(0, 1)));
        test('an image of 5 MB', () => {
          const [bytes = 0, shape] = result('large_image', z.tuple([z.number(), z.array(z.number())]));
          assert.ok(bytes > 5_000_000);
          assert.deepEqual(shape, [1, 512]);
        });
        test('a bare client of Jina: order, routes, parameters, contents that are kept', () => {
          const { vectors, ...rest } = result('responses', z.looseObject({ vectors: Vectors }));
          assertTexts(vectors, textVectors.slice(0, 6));
          assert.deepEqual(rest, {
            ids: ['0', '1', '2', '3', '4', '5', 'kept'],
            routes: ['gateway', 'clip_o'],
            parameters: { drop_image_content: false, mine: { x: 1.5 } },
            mime_type: 'text/plain',
            blob_kept: true,
            tags: { a: [1, 'b'] },
          });
        });
        test('target_executor that is nobody: documents pass', () =>
          assert.deepEqual(result('nobody_targeted', z.unknown()), { code: 0, embedded: false }));
        test('unary calls and compressed ones, where there are such', () => {
          const variants = result('variants', z.array(Vectors));
          assert.equal(variants.length, 3);
          for (const vectors of variants) assertTexts(vectors, textVectors.slice(0, 3));
        });
        test('is_flow_ready', () => assert.equal(result('ready', z.boolean()), true));
        test('no server: ConnectionError, and not ready', () => {
          const url = `${scheme}://127.0.0.1:${dead}`;
          assert.ok(down.error(url, 'texts').types.includes('ConnectionError'));
          assert.equal(down.result(url, 'ready', z.boolean()), false);
        });
      });
    }
  });

  describe('over TLS', () => {
    const schemes = ['grpcs', 'https', 'wss'] as const;
    let outcomes: Outcomes;
    let port: string;

    before(async () => {
      using certificate = new Certificate();
      const settings = `with: { ssl_certfile: ${certificate.cert}, ssl_keyfile: ${certificate.key} }\n`;
      await using flow = await FlowProcess.start({ text: settings + FLOW });
      ({ port } = new URL(flow.url));
      outcomes = await Outcomes.of(
        made,
        {
          ...input,
          urls: schemes.map((scheme) => `${scheme}://127.0.0.1:${port}`),
          scenarios: ['texts', 'image_files', 'rank', 'bad_image', 'ready'],
        },
        { SSL_CERT_FILE: certificate.cert, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: certificate.cert },
      );
    });

    for (const scheme of schemes) {
      test(scheme, () => {
        const url = `${scheme}://127.0.0.1:${port}`;
        assertTexts(outcomes.result(url, 'texts', Vectors));
        assertImages(outcomes.result(url, 'image_files', Vectors));
        assert.equal(outcomes.result(url, 'rank', Ranked).length, 2);
        assert.equal(outcomes.error(url, 'bad_image').types[0], 'BadServer');
        assert.equal(outcomes.result(url, 'ready', z.boolean()), true);
      });
    }
  });

  describe('with credentials', () => {
    let outcomes: Outcomes;
    let port: string;

    before(async () => {
      const token = 'a secret of alice';
      await using flow = await FlowProcess.start({ text: FLOW, env: tokensFile(folder, { alice: token }) });
      ({ port } = new URL(flow.url));
      const urls = ['grpc', 'http'].map((scheme) => `${scheme}://127.0.0.1:${port}`);
      outcomes = await Outcomes.of(made, {
        ...input,
        urls,
        token,
        scenarios: ['with_token', 'with_wrong_token', 'texts'],
      });
    });

    for (const [scheme, refusal] of Object.entries({ grpc: /UNAUTHENTICATED/, http: /UNAUTHENTICATED|401/ })) {
      test(`${scheme}: a right token serves, a wrong or missing one is refused`, () => {
        const url = `${scheme}://127.0.0.1:${port}`;
        assertTexts(outcomes.result(url, 'with_token', Vectors), textVectors.slice(0, 2));
        assert.match(outcomes.error(url, 'with_wrong_token').message, refusal);
        assert.match(outcomes.error(url, 'texts').message, refusal);
      });
    }
  });
});
