import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { ClipModel } from '../../../../executors/clip/clip-model.js';
import { dynamicLength } from '../../../../executors/clip/model/optimize/dynamic-length.js';
import { makeFolder, silent, tinyClip } from '../model/support.js';
import { cosine, fixture, optimized, rewritten, vectorsOf, wordLengths } from './support.js';

const LENGTHS = [8, 16, 24, 32, 48, 64, 77];
const TRIM = { trim: true, prune: false };
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
  return rewritten(model, dynamicLength({ name: 'input_ids', length: 77 }));
}

describe('a text tower of fixed length', () => {
  test('is trimmed when it is causal, and the untouched one closed', async (t) => {
    const { session, lengths, bare, logged } = await optimized(t, fixture('causal.onnx'), TRIM);
    assert.deepEqual(lengths, LENGTHS);
    assert.deepEqual(logged, [{ event: 'text_trimmed', buckets: LENGTHS }]);
    await assert.rejects(vectorsOf(bare, [new Int32Array(2)], 77), { code: 'REPLICA_LOST' });
    assert.equal((await vectorsOf(session, [wordLengths.encode('')], 8)).length, 1);
  });

  test('is trimmed when a mask hides the padding', async (t) => {
    const { logged } = await optimized(t, fixture('masked.onnx'), TRIM);
    assert.deepEqual(logged, [{ event: 'text_trimmed', buckets: LENGTHS }]);
  });

  test('is left alone when the padding matters', async (t) => {
    const { session, lengths, bare, logged } = await optimized(t, await written(t, unmask(Buffer.from(causal))), TRIM);
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
      const { session, lengths, bare, logged } = await optimized(t, fixture('causal.onnx'), TRIM, change);
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
    const { session, lengths, bare } = await optimized(t, await written(t, dynamic(causal)), TRIM);
    assert.equal(session, bare);
    assert.deepEqual(lengths, LENGTHS);
  });

  test('gets its full length when the padding matters', async (t) => {
    const { session, lengths, bare, logged } = await optimized(
      t,
      await written(t, dynamic(unmask(Buffer.from(causal)))),
      TRIM,
    );
    assert.equal(session, bare);
    assert.deepEqual(lengths, [77]);
    assert.equal(logged[0]?.event, 'text_not_trimmed');
  });
});

describe('a text tower whose last block is pruned', () => {
  const PRUNE = { trim: false, prune: true };
  const BOTH = { trim: true, prune: true };

  test('is trimmed, too', async (t) => {
    const { lengths, pruned, logged } = await optimized(t, fixture('causal.onnx'), BOTH);
    assert.deepEqual(lengths, LENGTHS);
    assert.equal(pruned, true);
    assert.deepEqual(logged, [{ event: 'text_trimmed', buckets: LENGTHS }, { event: 'last_block_pruned' }]);
  });

  test('keeps its length where nothing else is wanted', async (t) => {
    const { lengths, pruned, logged } = await optimized(t, fixture('causal.onnx'), PRUNE);
    assert.deepEqual(
      { lengths, pruned, logged },
      { lengths: [77], pruned: true, logged: [{ event: 'last_block_pruned' }] },
    );
  });

  test('keeps its length where the padding matters', async (t) => {
    const { lengths, pruned, logged } = await optimized(t, await written(t, unmask(Buffer.from(causal))), BOTH);
    assert.deepEqual({ lengths, pruned }, { lengths: [77], pruned: true });
    assert.deepEqual(
      logged.map(({ event }) => event),
      ['text_not_trimmed', 'last_block_pruned'],
    );
  });

  test('of dynamic length is loaded in place of the untouched one', async (t) => {
    const { session, lengths, pruned, bare } = await optimized(t, await written(t, dynamic(causal)), BOTH);
    assert.deepEqual({ lengths, pruned }, { lengths: LENGTHS, pruned: true });
    assert.notEqual(session, bare);
  });

  test('is trimmed alone when it has no attention', async (t) => {
    const { lengths, pruned, logged } = await optimized(t, fixture('masked.onnx'), BOTH);
    assert.deepEqual({ lengths, pruned }, { lengths: LENGTHS, pruned: false });
    assert.deepEqual(logged, [
      { event: 'text_trimmed', buckets: LENGTHS },
      { event: 'last_block_not_pruned', reason: 'it has no attention that is spelt out' },
    ]);
  });
});

test('a model that is trimmed and pruned gives the vectors of one that is not, in the order asked', async (t) => {
  const load = async (optimize: boolean) => {
    const model = await ClipModel.load({
      folder: tinyClip,
      device: 'cpu',
      intraOpNumThreads: 2,
      batchSize: 4,
      trimText: optimize,
      pruneLastBlock: optimize,
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
