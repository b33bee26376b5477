import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import type { Outcome } from '../../../src/call.js';
import { dispatcherWith, ENCODE, joined, kill, shown, work } from './dispatch-support.js';
import { settled } from './fake-replica.js';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

/** Undefined while the documents wait. */
async function outcomeBy(ms: number, answer: Promise<Outcome[]>): Promise<string[] | undefined> {
  mock.timers.tick(ms);
  return Promise.race([answer.then(shown), settled().then(() => undefined)]);
}

describe('a deadline', () => {
  test('answers what waits and what is computed, and gives the computation up', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { credit: 1, batchSize: 1 });
    const answer = dispatcher.submit(work('a b'), { ...ENCODE, timeoutMs: 100 });
    const running = replica.at(0);
    assert.equal(await outcomeBy(99, answer), undefined);
    assert.deepEqual(await outcomeBy(1, answer), ['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED']);
    assert.equal(running.signal?.aborted, true);
    await settled();
    assert.equal(replica.held.length, 0, 'what has expired is not computed');
  });

  test('does not touch what was answered before', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { credit: 1, batchSize: 1 });
    const answer = dispatcher.submit(work('a b'), { ...ENCODE, timeoutMs: 100 });
    replica.at(0).answer();
    await settled();
    assert.deepEqual(await outcomeBy(100, answer), ['a!', 'DEADLINE_EXCEEDED']);
  });

  test('that is over within the millisecond, which no timer of Node can tell, is over: nothing is computed', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher);
    const answer = dispatcher.submit(work('a'), { ...ENCODE, timeoutMs: 0.9 });
    assert.deepEqual(await outcomeBy(0, answer), ['DEADLINE_EXCEEDED']);
    assert.equal(replica.held.length, 0);
  });

  test('may be longer than a timer of Node counts (24.8 days)', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher);
    const timer = mock.method(globalThis, 'setTimeout');
    const answer = dispatcher.submit(work('a'), { ...ENCODE, timeoutMs: 2 ** 32 - 1 });
    // Node takes a longer one for 1 ms.
    assert.equal(Math.max(...timer.mock.calls.map((call) => call.arguments[1] ?? 0)), 2 ** 31 - 1);
    replica.at(0).answer();
    assert.deepEqual(shown(await answer), ['a!']);
  });
});

describe('without a ready replica', () => {
  test('work is held for 20 s, then UNAVAILABLE', async () => {
    const { dispatcher } = dispatcherWith();
    const answer = dispatcher.submit(work('a b'), ENCODE);
    assert.equal(await outcomeBy(19_999, answer), undefined);
    assert.deepEqual(await outcomeBy(1, answer), ['UNAVAILABLE', 'UNAVAILABLE']);
    const replica = joined(dispatcher);
    assert.equal(replica.held.length, 0, 'what was given up is not computed');
  });

  test('a replica that comes in time gets it', async () => {
    const { dispatcher } = dispatcherWith();
    const answer = dispatcher.submit(work('a'), ENCODE);
    const replica = joined(dispatcher, { state: 'starting' });
    assert.equal(await outcomeBy(19_999, answer), undefined);
    replica.info.state = 'ready';
    dispatcher.replicaChanged(replica);
    assert.equal(await outcomeBy(50_000, answer), undefined);
    replica.at(0).answer();
    assert.deepEqual(shown(await answer), ['a!']);
  });

  test('the 20 s begin when the last replica has gone, and count for what it held', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher);
    const answer = dispatcher.submit(work('a'), ENCODE);
    assert.equal(await outcomeBy(50_000, answer), undefined);
    kill(dispatcher, replica);
    await settled();
    assert.equal(await outcomeBy(19_999, answer), undefined);
    assert.deepEqual(await outcomeBy(1, answer), ['UNAVAILABLE']);
  });

  test('one that drains counts as none: it gets nothing new, and what it holds is still answered', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { credit: 2 });
    const held = dispatcher.submit(work('a'), ENCODE);
    replica.info.state = 'draining';
    dispatcher.replicaChanged(replica);
    const waiting = dispatcher.submit(work('b'), ENCODE);
    assert.equal(replica.held.length, 1);
    replica.at(0).answer();
    assert.deepEqual(shown(await held), ['a!']);
    assert.deepEqual(await outcomeBy(20_000, waiting), ['UNAVAILABLE']);
  });
});
