import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { laneSpec } from '../../../gateway/dispatch/item.js';
import { Patience } from '../../../gateway/dispatch/patience.js';

const TEXT = laneSpec('/encode', 'text', {});
const BLOB = laneSpec('/encode', 'blob', {});

describe('patience', () => {
  test('20 times the usual duration, at least the minimum', () => {
    const patience = new Patience(10_000);
    patience.learn(TEXT, 8, 100);
    assert.equal(patience.of(TEXT, 8), 10_000);
    patience.learn(BLOB, 8, 2000);
    assert.equal(patience.of(BLOB, 8), 40_000);
    assert.equal(patience.of(BLOB, 4), 40_000, 'a small batch may be as slow as a large one');
    assert.equal(patience.of(BLOB, 32), 160_000, 'a larger one slower');
  });

  test('a minute for what has never been answered, unless the minimum is longer', () => {
    assert.equal(new Patience(500).of(TEXT, 1), 60_000);
    assert.equal(new Patience(90_000).of(TEXT, 1), 90_000);
  });

  test('endpoints and kinds do not mix; callers cannot fill the memory with endpoints', () => {
    const patience = new Patience(1);
    for (let i = 0; i < 1000; i++) patience.learn({ ...TEXT, endpoint: `/${i}` }, 1, 1000);
    assert.equal(patience.of({ ...TEXT, endpoint: '/999' }, 1), 20_000);
    assert.equal(patience.of({ ...TEXT, endpoint: '/0' }, 1), 60_000);
    assert.equal(patience.of({ ...BLOB, endpoint: '/999' }, 1), 60_000);
  });

  test('lies between 20 times the shortest and the longest that was seen', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1 }), (durations) => {
        const patience = new Patience(0);
        for (const ms of durations) patience.learn(TEXT, 4, ms);
        const got = patience.of(TEXT, 4) / 20;
        assert.ok(got >= Math.min(...durations) - 1e-6 && got <= Math.max(...durations) + 1e-6);
      }),
    );
  });
});
