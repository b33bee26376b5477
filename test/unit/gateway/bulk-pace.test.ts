import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { BulkPace } from '../../../gateway/dispatch/bulk-pace.js';

const TEXT = { endpoint: '/encode', kind: 'text', parameters: {} };
const BLOB = { ...TEXT, kind: 'blob' };
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

  test('batches take about one and a half times as long as interactive ones', () => {
    const size = sizeAfter(paceBeside(20), 50, 3);
    assert.ok(size >= 9 && size <= 11, `30 ms are 10 documents of 3 ms; ${size}`);
  });

  test('or the least that is allowed, where that is longer', () => {
    const size = sizeAfter(paceBeside(1), 50, 0.5);
    assert.ok(size >= 9 && size <= 11, `5 ms are 10 documents of half a millisecond; ${size}`);
  });

  test('never fewer than one document, nor more than the replica takes', () => {
    assert.equal(sizeAfter(paceBeside(20), 50, 1000), 1);
    assert.equal(sizeAfter(paceBeside(20), 50, 0.01), SIZE);
  });

  test('shrinks again when documents take longer', () => {
    const pace = paceBeside(20);
    assert.equal(sizeAfter(pace, 50, 1), 30);
    const size = sizeAfter(pace, 50, 6);
    assert.ok(size >= 4 && size <= 6, String(size));
  });

  test('one batch that hung changes little', () => {
    const pace = paceBeside(20);
    pace.learn(TEXT, { interactive: 1, bulk: 0 }, SIZE, 10_000);
    const size = sizeAfter(pace, 50, 3);
    assert.ok(size <= 20, String(size));
  });

  test('each kind has a size of its own; a batch of both priorities tells nothing', () => {
    const pace = paceBeside(20);
    sizeAfter(pace, 50, 3);
    assert.equal(pace.documents(BLOB, SIZE), 1);
    for (let i = 0; i < 50; i++) pace.learn(BLOB, { interactive: 1, bulk: 1 }, SIZE, 1);
    assert.equal(pace.documents(BLOB, SIZE), 1);
  });

  test('without an interactive batch that was alone, a single document stands for one', () => {
    const pace = new BulkPace(MIN_MS);
    pace.interactiveCame();
    const size = sizeAfter(pace, 50, 20);
    assert.equal(size, 1, '30 ms are one document of 20 ms');
  });
});
