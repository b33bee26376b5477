import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { z } from 'zod';
import { loadClipBpe } from '../../../../executors/clip/text/clip-bpe.js';
import type { TextTokenizer } from '../../../../executors/clip/text/tokenizer.js';
import { CORPUS, LONG, readJson, tempFolder, VOCABULARY } from './fixtures.js';

const [START, END] = [49_406, 49_407];

describe('loadClipBpe', () => {
  let tokenizer: TextTokenizer;
  before(async () => {
    tokenizer = await loadClipBpe(VOCABULARY);
  });
  const encode = (text: string): number[] => [...tokenizer.encode(text)];

  test('gives the ids that the shipped model was trained with', () => {
    const Reference = z.object({ texts: z.array(z.object({ text: z.string(), ids: z.array(z.int()) })) });
    const { texts } = readJson('models/tiny-clip/reference.json', Reference);
    assert.ok(texts.length > 0);
    for (const { text, ids } of texts) assert.deepEqual(encode(text), ids, text);
  });

  test('gives the ids that Python gives, for each text of the corpus', () => {
    for (const { text, ids } of CORPUS) assert.deepEqual(encode(text), ids, JSON.stringify(text));
  });

  test('gives the ids that Python gives for long texts and long words, though it reads only their beginning', () => {
    for (const { text, ids } of LONG) assert.deepEqual(encode(text), ids, text.slice(0, 40));
  });

  test('knows no other difference between cached and first answers', () => {
    const texts = CORPUS.slice(0, 50).map(({ text }) => text);
    assert.deepEqual(texts.map(encode), texts.map(encode));
  });

  test('keeps to the context length, with the end', async () => {
    const short = await loadClipBpe(VOCABULARY, 5);
    assert.equal(short.contextLength, 5);
    assert.equal(short.padId, 0);
    assert.deepEqual([...short.encode('a red circle')], encode('a red circle'));
    assert.deepEqual([...short.encode('a red circle on')], [...encode('a red circle on').slice(0, 4), END]);
  });

  test('any text begins with start, ends with end and fits', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.array(fc.integer({ min: 0, max: 0xffff })).map((c) => String.fromCharCode(...c)),
    );
    fc.assert(
      fc.property(text, (any) => {
        const ids = encode(any);
        assert.equal(ids[0], START);
        assert.equal(ids.at(-1), END);
        assert.ok(ids.length >= 2 && ids.length <= 77);
        assert.ok(ids.every((id) => id >= 0 && id <= END));
      }),
    );
  });

  test('a text of a megabyte takes no longer than its beginning', () => {
    const megabyte = 1 << 20;
    for (const part of ['a', 'word ', 'Ã©', '漢', '&amp;', "'", 'e\u0300\u0316', '\x1b[', '&']) {
      const started = performance.now();
      encode(part.repeat(megabyte / part.length));
      encode(`&${'amp;'.repeat(megabyte / 4)}`);
      // A linear pass takes milliseconds; the quadratic one that this guards against takes minutes.
      assert.ok(performance.now() - started < 2000, part);
    }
  });

  test('names the file that it cannot take', async () => {
    await assert.rejects(loadClipBpe('/nowhere/vocab.txt.gz'), {
      code: 'INVALID_MODEL',
      message: /\/nowhere\/vocab\.txt\.gz/,
    });
    using folder = tempFolder();
    for (const [content, message] of [
      [Buffer.from('not compressed'), /header/],
      [gzipSync('#version\ni n\n'), /merges, expected at least 48894/],
      [gzipSync('#version\n' + 'i nn\n'.repeat(48_894)), /line 2 merges an unknown token/],
    ] as const) {
      writeFileSync(folder.path('vocab.gz'), content);
      await assert.rejects(loadClipBpe(folder.path('vocab.gz')), { code: 'INVALID_MODEL', message });
    }
  });
});
