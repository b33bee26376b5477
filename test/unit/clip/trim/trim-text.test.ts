import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ClipModel } from '../../../../executors/clip/clip-model.js';
import { makeFolder, reference, silent, tinyClip } from '../model/support.js';
import { cosine, fixture, trim, vectorsOf, wordLengths } from './support.js';

const LENGTHS = [8, 16, 24, 32, 48, 64, 77];
const causal = await readFile(fixture('causal.onnx'));

/** A file of the bytes of causal.onnx, changed. */
async function altered(t: Parameters<typeof makeFolder>[0], change: (model: Buffer) => void): Promise<string> {
  const model = Buffer.from(causal);
  change(model);
  const path = join(await makeFolder(t, {}), 'textual.onnx');
  await writeFile(path, model);
  return path;
}

/** Replaces each float of the masks; they are stored as they are, so their offset may be any. */
function unmask(model: Buffer): void {
  const hidden = Buffer.alloc(4);
  hidden.writeFloatLE(-Infinity);
  for (let at = model.indexOf(hidden); at >= 0; at = model.indexOf(hidden, at)) model.fill(0, at, at + 4);
}

describe('a text tower', () => {
  test('that is causal is trimmed, and the untouched one closed', async (t) => {
    const { session, lengths, bare, logged } = await trim(t, fixture('causal.onnx'));
    assert.deepEqual(lengths, LENGTHS);
    assert.deepEqual(
      logged.map(({ event, buckets }) => ({ event, buckets })),
      [{ event: 'text_trimmed', buckets: LENGTHS }],
    );
    await assert.rejects(vectorsOf(bare, [new Int32Array(2)], 77));
    assert.equal((await vectorsOf(session, [wordLengths.encode('')], 8)).length, 1);
  });

  test('that is not causal stays as it is', async (t) => {
    const { session, lengths, bare, logged } = await trim(t, await altered(t, unmask));
    assert.deepEqual(lengths, [77]);
    assert.equal(session, bare);
    assert.equal(logged[0]?.event, 'text_not_trimmed');
    assert.match(String(logged[0]?.reason), /depend on the padding/);
  });

  test('is loaded again where the rewritten graph computes something else', async (t) => {
    // A shape as long as the texts: what it is rewritten to is wrong.
    const { session, lengths, bare, logged } = await trim(t, fixture('coincidence.onnx'));
    assert.deepEqual(lengths, [77]);
    assert.notEqual(session, bare);
    assert.equal(logged[0]?.event, 'text_not_trimmed');
    assert.equal((await vectorsOf(session, [wordLengths.encode('a')], 77)).length, 1);
  });
});
