import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Effort } from '../../../src/autoscale/effort.js';

const WINDOW_MS = 10_000;

/** Reports each second: so many replicas are busy, so many documents are done in it. */
function observe(effort: Effort, from: number, seconds: number, busy: number, rate: number, done = 0): number {
  for (let second = from; second <= from + seconds; second++) {
    effort.observe({ busy, done: done + rate * (second - from) }, second * 1000);
  }
  return done + rate * seconds;
}

describe('the replicas that the work would fill', () => {
  test('are those that are busy, while a document takes what it took', () => {
    const effort = new Effort(WINDOW_MS);
    observe(effort, 0, 20, 3, 60);
    assert.equal(effort.replicas, 3);
  });

  test('are fewer than those that are busy with small batches, once full ones were seen', () => {
    const effort = new Effort(WINDOW_MS);
    // Two replicas do 100 documents a second in full batches, 20 ms each; then 30 a second keep both busy.
    const done = observe(effort, 0, 10, 2, 100);
    observe(effort, 10, 20, 2, 30, done);
    assert.ok(Math.abs(effort.replicas - 30 * 0.02) < 1e-9, String(effort.replicas));
  });

  test('are counted anew after a window without documents, and when documents take longer now', () => {
    const effort = new Effort(WINDOW_MS);
    const done = observe(effort, 0, 10, 2, 100);
    observe(effort, 10, 10, 0, 0, done);
    assert.equal(effort.replicas, 0);
    effort.forget();
    observe(effort, 20, 20, 4, 10, done);
    assert.equal(effort.replicas, 4);
  });

  test('are not made negative by a gateway that starts again', () => {
    const effort = new Effort(WINDOW_MS);
    observe(effort, 0, 15, 2, 100);
    observe(effort, 16, 20, 2, 100);
    assert.equal(effort.replicas, 2);
  });
});
