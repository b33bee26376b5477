import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { groupByLength, RUN_TOKENS, trimmedLengths } from '../../../../executors/clip/model/optimize/lengths.js';

const texts = (...sizes: number[]) => sizes.map((size) => new Int32Array(size));
const grouped = (...sizes: number[]) =>
  groupByLength(texts(...sizes), trimmedLengths(77)).map(({ length, texts }) => [length, texts.map(({ row }) => row)]);

test('lengths end with the context length', () => {
  assert.deepEqual(trimmedLengths(77), [8, 16, 24, 32, 48, 64, 77]);
  assert.deepEqual(trimmedLengths(64), [8, 16, 24, 32, 48, 64]);
  assert.deepEqual(trimmedLengths(5), [5]);
});

describe('texts are grouped', () => {
  test('by the shortest length that holds them', () => {
    assert.deepEqual(grouped(), []);
    assert.deepEqual(grouped(0), [[8, [0]]]);
    assert.deepEqual(grouped(77, 8, 40), [
      [8, [1]],
      [48, [2]],
      [77, [0]],
    ]);
  });

  test('with the next longer ones, when that pads less than a run costs', () => {
    assert.deepEqual(grouped(8, 8, 9), [[16, [2, 0, 1]]]);
    assert.deepEqual(grouped(8, 8, 8, 9), [
      [8, [0, 1, 2]],
      [16, [3]],
    ]);
  });

  test('so that each is there once, fits, and nothing costs more than one run of all', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 77 }), { maxLength: 64 });
    fc.assert(
      fc.property(sizes, (sizes) => {
        const groups = groupByLength(texts(...sizes), trimmedLengths(77));
        const members = groups.flatMap(({ length, texts }) => texts.map((text) => ({ ...text, length })));
        assert.deepEqual(
          members.map(({ row }) => row).sort((a, b) => a - b),
          sizes.map((_, row) => row),
        );
        for (const { ids, row, length } of members) {
          assert.equal(ids.length, sizes[row]);
          assert.ok(ids.length <= length);
        }
        const cost = (runs: { length: number; count: number }[]) =>
          runs.reduce((sum, { length, count }) => sum + RUN_TOKENS + length * count, 0);
        const longest = Math.max(0, ...groups.map(({ length }) => length));
        const apart = cost(groups.map(({ length, texts }) => ({ length, count: texts.length })));
        assert.ok(sizes.length === 0 || apart <= cost([{ length: longest, count: sizes.length }]));
      }),
    );
  });
});
