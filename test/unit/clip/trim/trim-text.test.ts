import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { ClipModel } from '../../../../executors/clip/clip-model.js';
import { withDynamicLength } from '../../../../executors/clip/model/trim/dynamic-length.js';
import { makeFolder, silent, tinyClip } from '../model/support.js';
import { cosine, fixture, trim, vectorsOf, wordLengths } from './support.js';

const LENGTHS = [8, 16, 24, 32, 48, 64, 77];
const causal = await readFile(fixture('causal.onnx'));

async function written(t: TestContext, model: Uint8Array): Promise<string> {
  const path = join(await makeFolder(t, {}), 'textual.onnx');
  await writeFile(path, model);
  return path;
}

/** Shows each position to each: the masks are stored as they are, and alone hold what hides. */
function unmask(model: Buffer): Buffer {
  const hidden = Buffer.alloc(4);
  hidden.writeFloatLE(-Infinity);
  for (let at = model.indexOf(hidden); at >= 0; at = model.indexOf(hidden, at)) model.fill(0, at, at + 4);
  return model;
}

function dynamic(model: Uint8Array): Uint8Array {
  const result = withDynamicLength(model, { name: 'input_ids', length: 77 });
  assert.ok('model' in result);
  return result.model;
}

describe('a text tower of fixed length', () => {
  test('is trimmed when it is causal, and the untouched one closed', async (t) => {
    const { session, lengths, bare, logged } = await trim(t, fixture('causal.onnx'));
    assert.deepEqual(lengths, LENGTHS);
    assert.deepEqual(logged, [{ event: 'text_trimmed', buckets: LENGTHS }]);
    await assert.rejects(vectorsOf(bare, [new Int32Array(2)], 77), { code: 'REPLICA_LOST' });
    assert.equal((await vectorsOf(session, [wordLengths.encode('')], 8)).length, 1);
  });

  test('is trimmed when a mask hides the padding', async (t) => {
    const { logged } = await trim(t, fixture('masked.onnx'));
    assert.deepEqual(logged, [{ event: 'text_trimmed', buckets: LENGTHS }]);
  });

  test('is left alone when the padding matters', async (t) => {
    const { session, lengths, bare, logged } = await trim(t, await written(t, unmask(Buffer.from(causal))));
    assert.deepEqual(lengths, [77]);
    assert.equal(session, bare);
    assert.equal(logged[0]?.event, 'text_not_trimmed');
    assert.match(logged[0].reason ?? '', /depend on the padding/);
  });

  for (const [fault, change, reason] of [
    ['computes something else', unmask, /at 8 tokens its vectors differ/],
    ['cannot be loaded', (model: Buffer) => model.fill(255), /cannot be loaded/],
  ] as const) {
    test(`is loaded again when what it was rewritten to ${fault}`, async (t) => {
      const { session, lengths, bare, logged } = await trim(t, fixture('causal.onnx'), change);
      assert.deepEqual(lengths, [77]);
      assert.equal(logged[0]?.event, 'text_not_trimmed');
      assert.match(logged[0].reason ?? '', reason);
      assert.notEqual(session, bare);
      assert.equal((await vectorsOf(session, [wordLengths.encode('a')], 77)).length, 1);
    });
  }
});

describe('a text tower of dynamic length', () => {
  test('is trimmed as it is when it is causal', async (t) => {
    const { session, lengths, bare } = await trim(t, await written(t, dynamic(causal)));
    assert.equal(session, bare);
    assert.deepEqual(lengths, LENGTHS);
  });

  test('gets its full length when the padding matters', async (t) => {
    const { session, lengths, bare, logged } = await trim(t, await written(t, dynamic(unmask(Buffer.from(causal)))));
    assert.equal(session, bare);
    assert.deepEqual(lengths, [77]);
    assert.equal(logged[0]?.event, 'text_not_trimmed');
  });
});

test('a trimmed model gives the vectors of an untrimmed one, in the order asked', async (t) => {
  const load = async (trimText: boolean) => {
    const model = await ClipModel.load({
      folder: tinyClip,
      device: 'cpu',
      intraOpNumThreads: 2,
      batchSize: 4,
      trimText,
      decoders: 1,
      imageLimits: { pixels: 1e7, bytes: 1e7 },
      loadUri: () => Promise.reject(new Error('no uri here')),
      log: silent,
      die: (error) => assert.fail(error),
    });
    t.after(() => model.close());
    return model;
  };
  const [trimmed, untrimmed] = [await load(true), await load(false)];
  const words = (count: number) => Array.from({ length: count }, (_, i) => ['red', 'cat', 'on'][i % 3]).join(' ');
  // Past 75 words a text is cut; the lengths on both sides of each step are there.
  const texts = [75, 0, 14, 6, 7, 200, 30, 31, 1, 46, 62, 63, 74, 14, 5].map(words).concat('two dogs', '');
  const [vectors, wanted] = [await trimmed.embedTexts(texts), await untrimmed.embedTexts(texts)];
  assert.equal(vectors.length, texts.length);
  vectors.forEach((vector, row) => {
    const other = wanted[row];
    assert.ok(vector instanceof Float32Array && other instanceof Float32Array);
    assert.ok(cosine(vector, other) > 0.99999, `text ${row}`);
  });
  assert.deepEqual(await trimmed.embedTexts([]), []);
});
