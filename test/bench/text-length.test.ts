import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { loadClipBpe } from '../../executors/clip/text/clip-bpe.js';
import { PACKAGE_ROOT } from '../../src/version.js';
import { textLengthTable } from './report.js';
import { TextLengthComparison } from './text-length.js';
import { textsOfTokens } from './workload.js';

describe('the text length suite', () => {
  test('has texts of just so many tokens, none twice', async () => {
    const tokenizer = await loadClipBpe(join(PACKAGE_ROOT, 'models/tiny-clip/bpe_simple_vocab_16e6.txt.gz'));
    for (const tokens of [3, 5, 14, 40, 75]) {
      const texts = textsOfTokens(tokens);
      assert.deepEqual(new Set(texts).size, texts.length);
      for (const text of texts) assert.equal(tokenizer.encode(text).length, tokens, text);
    }
  });

  test('measures each length and batch, of vectors that are the same', async () => {
    await using comparison = await TextLengthComparison.start('tiny-clip');
    const rows = await comparison.measure({ rounds: 2, legSeconds: 0 });
    assert.deepEqual(
      rows.map(({ batch, tokens }) => `${batch}x${tokens}`),
      ['32x5', '32x14', '32x40', '32x75', '1x5', '1x14', '1x40', '1x75'],
    );
    for (const { bare, trimmed, ratio, cosine } of rows) {
      assert.deepEqual([bare.length, trimmed.length], [2, 2]);
      assert.ok(ratio > 0 && cosine > 0.9999);
    }
    assert.equal(textLengthTable(rows).split('\n').length, 1 + rows.length);
  });
});
