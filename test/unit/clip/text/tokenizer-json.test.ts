import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { z } from 'zod';
import { loadTokenizerJson } from '../../../../executors/clip/text/tokenizer-json.js';
import type { TextTokenizer } from '../../../../executors/clip/text/tokenizer.js';
import { clipTokenizerJson, CORPUS, readJson, tempFolder } from './fixtures.js';

/** Cleaned texts that Hugging Face's tokenizer reads otherwise than OpenAI's. */
const DIFFERENT = new Map([
  ["it'ſ 'ſ ſ ſtraſſe", "OpenAI's pattern ignores case, so 'ſ is 's"],
  ['<|ſtartoftext|>', 'the same'],
  ['a\u0345 ᾳ \u0345 x', "OpenAI's pattern drops U+0345"],
  ['<\ufeffx\ufeff>', 'JavaScript counts U+FEFF as white space; the original library does not'],
]);

describe('loadTokenizerJson with CLIP', () => {
  let tokenizer: TextTokenizer;
  before(async () => {
    using folder = tempFolder();
    tokenizer = await loadTokenizerJson(folder.write('tokenizer.json', clipTokenizerJson()), { contextLength: 77 });
  });

  test('gives the ids of the published tokenizer for cleaned text', () => {
    for (const { clean, ids } of CORPUS) {
      const same = [...tokenizer.encode(clean)].join() === ids.join();
      assert.equal(same, !DIFFERENT.has(clean), JSON.stringify(clean));
    }
  });

  test('keeps the end and the length', () => {
    assert.deepEqual([tokenizer.contextLength, tokenizer.padId], [77, 0]);
    const ids = tokenizer.encode('word '.repeat(1000));
    assert.deepEqual([ids.length, ids[0], ids.at(-1)], [77, 49_406, 49_407]);
  });

  test('a text of a megabyte takes no longer than its beginning', () => {
    const started = performance.now();
    for (const part of ['a', '漢', "'"]) tokenizer.encode(part.repeat(1 << 20));
    assert.ok(performance.now() - started < 2000);
  });
});

describe('loadTokenizerJson with a unigram model, as SigLIP has', () => {
  const Fixture = z.object({
    contextLength: z.int(),
    tokenizer: z.looseObject({}),
    cases: z.array(z.object({ text: z.string(), ids: z.array(z.int()) })),
  });

  test('gives the ids of the original library, and the pad id of the file', async () => {
    const { contextLength, tokenizer: json, cases } = readJson('test/fixtures/tokens/unigram.json', Fixture);
    using folder = tempFolder();
    const path = folder.write('tokenizer.json', JSON.stringify(json));
    const tokenizer = await loadTokenizerJson(path, { contextLength });
    assert.equal(tokenizer.padId, 1);
    for (const { text, ids } of cases) assert.deepEqual([...tokenizer.encode(text)], ids, text);
    assert.equal((await loadTokenizerJson(path, { contextLength, padToken: '<unk>' })).padId, 2);
    const unknown = loadTokenizerJson(path, { contextLength, padToken: '<none>' });
    await assert.rejects(unknown, { code: 'INVALID_MODEL', message: /lacks the token "<none>"/ });
  });

  test('cleans as SigLIP was trained, where the file itself does not', async () => {
    const { contextLength, tokenizer: json, cases } = readJson('test/fixtures/tokens/unigram.json', Fixture);
    using folder = tempFolder();
    const bare = { ...json, normalizer: null };
    const path = folder.write('tokenizer.json', JSON.stringify(bare));
    const tokenizer = await loadTokenizerJson(path, { contextLength, clean: 'canonicalize' });
    const photo = cases.find(({ text }) => text === 'A Photo, of TWO dogs!');
    assert.deepEqual([...tokenizer.encode('A Photo, of TWO dogs!')], photo?.ids);
  });
});

test('loadTokenizerJson names the file that it cannot take', async () => {
  using folder = tempFolder();
  for (const content of ['', '[]', '{}', '{"model":{"type":"BPE"}}']) {
    const path = folder.write('tokenizer.json', content);
    await assert.rejects(loadTokenizerJson(path, { contextLength: 77 }), {
      code: 'INVALID_MODEL',
      message: /tokenizer\.json/,
    });
  }
  await assert.rejects(loadTokenizerJson('/nowhere/tokenizer.json', { contextLength: 77 }), { code: 'INVALID_MODEL' });
});
