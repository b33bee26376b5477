import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { dynamicLength } from '../../../../executors/clip/model/optimize/dynamic-length.js';
import { fixture as modelFixture, tinyClip, vitB32 } from '../model/support.js';
import {
  assertSurvivesDamage,
  cosine,
  fixture,
  openText,
  reasonAgainst,
  rewritten,
  torch,
  vectorsOf,
} from './support.js';

const DYNAMIC = dynamicLength({ name: 'input_ids', length: 77 });
// OpenAI CLIP's.
const [START, END] = [49406, 49407];
const causal = await readFile(fixture('causal.onnx'));

describe("torch's export of a causal text tower", () => {
  test('takes each length, and gives what torch computes at 77 tokens', async (t) => {
    const session = await openText(t, fixture('causal.onnx'), rewritten(causal, DYNAMIC));
    const texts = torch.ids.map((ids) => Int32Array.from(ids));
    for (const [row, ids] of texts.entries()) {
      for (const length of new Set([ids.length, Math.min(77, ids.length + 1), 77])) {
        const [vector] = await vectorsOf(session, [ids], length);
        assert.ok(cosine(vector ?? [], torch.vectors[row] ?? []) > 0.999999, `${ids.length} tokens at ${length}`);
      }
    }
    const vectors = await vectorsOf(session, texts, 77);
    vectors.forEach((vector, row) => assert.ok(cosine(vector, torch.vectors[row] ?? []) > 0.999999));
    assert.ok(cosine(vectors[0] ?? [], vectors[1] ?? []) < 0.99, 'texts must differ for this to say anything');
  });

  test('refuses more than 77 tokens', async (t) => {
    const session = await openText(t, fixture('causal.onnx'), rewritten(causal, DYNAMIC));
    await assert.rejects(vectorsOf(session, [new Int32Array(78)], 78), { code: 'EXECUTOR_FAILED' });
  });

  test('finds weights in the file beside it', async (t) => {
    const path = fixture('external.onnx');
    const [bare, session] = [
      await openText(t, path),
      await openText(t, path, rewritten(await readFile(path), DYNAMIC)),
    ];
    const texts = torch.ids.slice(0, 4).map((ids) => Int32Array.from(ids));
    const wanted = await vectorsOf(bare, texts, 77);
    const vectors = await vectorsOf(session, texts, 9);
    vectors.forEach((vector, row) => assert.ok(cosine(vector, wanted[row] ?? []) > 0.999999));
  });
});

for (const folder of [tinyClip, vitB32]) {
  test(`${basename(folder)} gives the vectors of the untouched graph`, async (t) => {
    const path = join(folder, 'textual.onnx');
    const [bare, session] = [
      await openText(t, path),
      await openText(t, path, rewritten(await readFile(path), DYNAMIC)),
    ];
    const text = (size: number) =>
      Int32Array.of(START, ...Array.from({ length: size - 2 }, (_, i) => 320 + 97 * size + 31 * i), END);
    for (const [size, length] of Object.entries({ 2: 8, 14: 16, 33: 48 })) {
      const texts = [text(Number(size)), text(length)];
      const [wanted, vectors] = [await vectorsOf(bare, texts, 77), await vectorsOf(session, texts, length)];
      vectors.forEach((vector, row) => assert.ok(cosine(vector, wanted[row] ?? []) > 0.99999));
      assert.ok(cosine(vectors[0] ?? [], vectors[1] ?? []) < 0.9999, 'texts must differ for this to say anything');
    }
  });
}

test('weights are not touched', async () => {
  const model = await readFile(join(tinyClip, 'textual.onnx'));
  assert.ok(Math.abs(rewritten(model, DYNAMIC).length - model.length) < 5000);
});

describe('what cannot be rewritten', () => {
  const reason = (model: Uint8Array): string => reasonAgainst(model, DYNAMIC);

  test('old operators', async () => {
    assert.match(reason(await readFile(modelFixture('text-int64.onnx'))), /opset 8; expected 10/);
  });

  test('bytes that are no model', () => {
    assert.match(reason(new Uint8Array()), /opset 0/);
    assert.match(reason(causal.subarray(0, causal.length / 2)), /cannot be read/);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => reason(bytes) !== ''));
  });

  test('a damaged file gives a model or a reason, and throws nothing', () => {
    assertSurvivesDamage(causal, DYNAMIC);
  });
});
