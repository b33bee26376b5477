import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Hedge } from '../../../gateway/dispatch/hedge.js';
import { laneSpec } from '../../../gateway/dispatch/item.js';

const TEXT = laneSpec('/encode', 'text', {});
const BLOB = laneSpec('/encode', 'blob', {});

/** Has seen batches of each size take so many milliseconds, often enough to know. */
function knowing(msOfSize: Record<number, number>, factor = 1): Hedge {
  const hedge = new Hedge(factor);
  for (const [docs, ms] of Object.entries(msOfSize)) for (let i = 0; i < 64; i++) hedge.learn(TEXT, Number(docs), ms);
  return hedge;
}

describe('a batch is hedged', () => {
  test('after so many times the 99th percentile of its size', () => {
    const hedge = knowing({ 1: 10, 8: 40 }, 3);
    assert.equal(hedge.after(TEXT, 1), 30);
    assert.equal(hedge.after(TEXT, 8), 120);
    assert.equal(hedge.after(TEXT, 5), 120, 'within a factor of two in size');
    // Of 256 durations two are in the hundredth beyond the percentile.
    for (let i = 0; i < 254; i++) hedge.learn(TEXT, 1, 10);
    for (let i = 0; i < 2; i++) hedge.learn(TEXT, 1, 1000);
    assert.equal(hedge.after(TEXT, 1), 30);
    for (let i = 0; i < 16; i++) hedge.learn(TEXT, 1, 1000);
    assert.equal(hedge.after(TEXT, 1), 3000);
  });

  test('of a size seen seldom: at the latest when a larger one would be, or a smaller one in proportion', () => {
    const hedge = knowing({ 2: 10, 16: 100 });
    hedge.learn(TEXT, 1, 5000);
    assert.equal(hedge.after(TEXT, 1), 10);
    assert.equal(hedge.after(TEXT, 4), 20);
    assert.equal(hedge.after(TEXT, 8), 40);
    assert.equal(hedge.after(TEXT, 32), 160);
    assert.equal(knowing({ 2: 50, 16: 100 }).after(TEXT, 8), 100);
  });

  test('never while too few of its kind were seen', () => {
    const hedge = knowing({ 1: 10 });
    assert.equal(hedge.after(BLOB, 1), Infinity);
    for (let i = 0; i < 49; i++) hedge.learn(BLOB, 1, 10);
    assert.equal(hedge.after(BLOB, 1), Infinity);
  });
});
