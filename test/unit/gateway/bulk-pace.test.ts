import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { BulkPace } from '../../../gateway/dispatch/bulk-pace.js';
import { laneSpec } from '../../../gateway/dispatch/item.js';

const TEXT = laneSpec('/encode', 'text', {});
const BLOB = laneSpec('/encode', 'blob', {});
const SIZE = 32;
const MIN_MS = 5;

let now = 0;
beforeEach(() => mock.method(performance, 'now', () => now));
afterEach(() => mock.restoreAll());

/** Beside interactive requests whose batches take `interactiveMs`, each alone with its replica. */
function paceBeside(interactiveMs: number): BulkPace {
  const pace = new BulkPace(MIN_MS);
  pace.interactiveCame();
  for (let i = 0; i < 20; i++) pace.learn(TEXT, { interactive: 1, bulk: 0 }, SIZE, interactiveMs);
  return pace;
}

/** Documents of a batch after `batches` that took `ms` for each document. */
function sizeAfter(pace: BulkPace, batches: number, ms: number): number {
  for (let i = 0; i < batches; i++) {
    const bulk = pace.documents(TEXT, SIZE);
    pace.learn(TEXT, { interactive: 0, bulk }, SIZE, bulk * ms);
  }
  return pace.documents(TEXT, SIZE);
}

describe('the pace of bulk work', () => {
  test('all that a replica takes, while no interactive requests come', () => {
    const pace = new BulkPace(MIN_MS);
    assert.equal(pace.yields, false);
    assert.equal(pace.documents(TEXT, SIZE), SIZE);
    pace.interactiveCame();
    assert.equal(pace.documents(TEXT, SIZE), 1);
    now += 4999;
    assert.equal(pace.yields, true);
    now += 1;
    assert.equal(pace.documents(TEXT, SIZE), SIZE);
  });

  test('batches take up to one and a half times as long as interactive ones', () => {
    const size = sizeAfter(paceBeside(20), 200, 3);
    assert.ok(size >= 9 && size <= 10, `30 ms are 10 documents of 3 ms; ${size}`);
  });

  test('or the least that is allowed, where that is longer', () => {
    const size = sizeAfter(paceBeside(1), 200, 0.5);
    assert.ok(size >= 9 && size <= 10, `5 ms are 10 documents of half a millisecond; ${size}`);
  });

  test('three batches of four are within it, where their times differ', () => {
    const pace = paceBeside(20);
    let within = 0;
    for (let i = 0; i < 4200; i++) {
      const bulk = pace.documents(TEXT, SIZE);
      const ms = bulk * 3 * (0.5 + ((i * 0.618034) % 1));
      pace.learn(TEXT, { interactive: 0, bulk }, SIZE, ms);
      if (i >= 200 && ms <= 30) within += 1;
    }
    assert.ok(within > 2600 && within < 3400, `3000 of 4000 expected; ${within}`);
  });

  test('where interactive batches wait for the processor, the quicker ones count', () => {
    const pace = paceBeside(20);
    for (let i = 0; i < 400; i++) pace.learn(TEXT, { interactive: 1, bulk: 0 }, SIZE, i % 2 === 0 ? 20 : 60);
    const size = sizeAfter(pace, 200, 3);
    assert.ok(size >= 9 && size <= 12, `not the 20 documents of one and a half times 40 ms; ${size}`);
  });

  test('never fewer than one document, nor more than the replica takes', () => {
    assert.equal(sizeAfter(paceBeside(20), 200, 1000), 1);
    assert.equal(sizeAfter(paceBeside(20), 200, 0.01), SIZE);
  });

  test('shrinks again when documents take longer', () => {
    const pace = paceBeside(20);
    const before = sizeAfter(pace, 200, 1);
    assert.ok(before >= 27 && before <= 30, String(before));
    const after = sizeAfter(pace, 50, 6);
    assert.ok(after >= 4 && after <= 5, String(after));
  });

  test('one batch that hung changes little', () => {
    const pace = paceBeside(20);
    pace.learn(TEXT, { interactive: 1, bulk: 0 }, SIZE, 10_000);
    const size = sizeAfter(pace, 200, 3);
    assert.ok(size <= 10, String(size));
    pace.learn(TEXT, { interactive: 0, bulk: size }, SIZE, 10_000);
    assert.ok(pace.documents(TEXT, SIZE) >= size - 1);
  });

  test('each kind has a size of its own; a batch of both priorities tells nothing', () => {
    const pace = paceBeside(20);
    sizeAfter(pace, 200, 3);
    assert.equal(pace.documents(BLOB, SIZE), 1);
    for (let i = 0; i < 50; i++) pace.learn(BLOB, { interactive: 1, bulk: 1 }, SIZE, 1);
    assert.equal(pace.documents(BLOB, SIZE), 1);
  });

  test('without an interactive batch that was alone, a single document stands for one', () => {
    const pace = new BulkPace(MIN_MS);
    pace.interactiveCame();
    const sizes = Array.from({ length: 400 }, () => sizeAfter(pace, 1, 20));
    const singles = sizes.filter((size) => size === 1).length;
    assert.ok(Math.max(...sizes) <= 2 && singles >= 300, `30 ms are one document of 20 ms, not two; ${singles} of 400`);
  });
});
