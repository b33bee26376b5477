import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { z } from 'zod';
import { loadClipBpe } from '../../../../executors/clip/text/clip-bpe.js';
import { isTokenIds, readTokenIds } from '../../../../executors/clip/text/token-ids.js';
import type { TextTokenizer } from '../../../../executors/clip/text/tokenizer.js';
import { NdArray } from '../../../../src/document/ndarray.js';
import { ROOT } from '../../../support/flow-process.js';

const MODEL = join(ROOT, 'models/tiny-clip');
const { texts } = z
  .object({ texts: z.array(z.object({ text: z.string(), ids: z.array(z.number()) })) })
  .parse(JSON.parse(readFileSync(join(MODEL, 'reference.json'), 'utf8')));

const tensor = (ids: readonly number[], dtype = '<i8'): NdArray => {
  const values = dtype === '<i4' ? Int32Array.from(ids) : BigInt64Array.from(ids, (id) => BigInt(id));
  return new NdArray(new Uint8Array(values.buffer), [ids.length], dtype);
};

describe('texts that come as tokens', () => {
  let tokenizer: TextTokenizer;
  before(async () => (tokenizer = await loadClipBpe(join(MODEL, 'bpe_simple_vocab_16e6.txt.gz'))));
  const read = (ids: readonly number[], dtype?: string): number[] => [...readTokenIds(tensor(ids, dtype), tokenizer)];

  test('the published ids of reference texts, whatever they are padded with', () => {
    for (const { ids } of texts) {
      assert.deepEqual(read(ids), ids);
      assert.deepEqual(read(ids, '<i4'), ids);
      // clip.tokenize pads with 0, Hugging Face's CLIPTokenizer with the end.
      for (const pad of [0, 49407]) assert.deepEqual(read([...ids, pad, pad, pad]), ids);
    }
  });

  test('one that is too long is cut, its end kept, as a text is', () => {
    const long = [49406, ...Array<number>(200).fill(320), 49407];
    assert.deepEqual(read(long), [...tokenizer.encode('a '.repeat(200))]);
  });

  test('ids of another vocabulary, without a frame or out of range are refused', () => {
    // "hello world" and "A red circle" by OpenAI's cl100k_base and GPT-2's vocabulary.
    for (const ids of [
      [15339, 1917],
      [31373, 995],
      [32, 2579, 12960],
    ]) {
      assert.throws(() => read(ids), {
        code: 'INVALID_DOCUMENT',
        message: /49406 \.\.\. 49407.*tiktoken.*send the text/,
      });
    }
    const wrong = [
      [],
      [49406],
      [49407],
      [49406, 320],
      [320, 49407],
      [49406, 49408, 49407],
      [49406, -1, 49407],
      [49406, 49407, 5],
    ];
    for (const ids of wrong) assert.throws(() => read(ids), { code: 'INVALID_DOCUMENT' }, String(ids));
  });

  test('only a row of integers is one', () => {
    assert.ok(isTokenIds(tensor([1, 2])));
    assert.ok(!isTokenIds(undefined));
    assert.ok(!isTokenIds(NdArray.fromFloat32(Float32Array.of(1, 2))));
    assert.ok(!isTokenIds(new NdArray(new Uint8Array(12), [2, 2, 3], '|u1')));
  });
});
