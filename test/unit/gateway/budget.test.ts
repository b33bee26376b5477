import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { ClipflowError } from '../../../src/errors.js';
import { Budget } from '../../../gateway/dispatch/budget.js';

/** One turn of the event loop for each of the few who wait. */
async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

/** Names of those that wait for room, in the order in which they got in or left. */
function waiting(budget: Budget) {
  const admitted: string[] = [];
  const wait = (name: string, docs: number, signal?: AbortSignal): void => {
    void budget.takeInTurn(docs, 0, signal).then(
      () => admitted.push(name),
      (error: unknown) => admitted.push(`${name}: ${(error as ClipflowError).code}`),
    );
  };
  return { admitted, wait };
}

describe('who waits for room', () => {
  test('does not wait when there is some', async () => {
    const { admitted, wait } = waiting(new Budget({ docs: 2, bytes: 10 }));
    wait('a', 2);
    await settled();
    assert.deepEqual(admitted, ['a']);
  });

  test('gets in turn: nobody overtakes, however little he brings', async () => {
    const budget = new Budget({ docs: 4, bytes: 10 });
    const { admitted, wait } = waiting(budget);
    budget.take(3, 0);
    wait('large', 3);
    wait('small', 1);
    await settled();
    assert.deepEqual(admitted, []);
    budget.give(3, 0);
    await settled();
    assert.deepEqual(admitted, ['large', 'small']);
    assert.equal(budget.docs, 4);
  });

  test('leaves when his caller goes away, and those behind him move up', async () => {
    const budget = new Budget({ docs: 4, bytes: 10 });
    const { admitted, wait } = waiting(budget);
    budget.take(2, 0);
    const gone = new AbortController();
    wait('large', 4, gone.signal);
    wait('small', 1);
    gone.abort();
    await settled();
    assert.deepEqual(admitted.sort(), ['large: CANCELLED', 'small']);
  });

  test('gets in when there is room for several', async () => {
    const budget = new Budget({ docs: 4, bytes: 10 });
    const { admitted, wait } = waiting(budget);
    budget.take(4, 0);
    for (const name of ['a', 'b', 'c']) wait(name, 1);
    budget.give(4, 0);
    await settled();
    assert.deepEqual(admitted, ['a', 'b', 'c']);
  });

  test('gets in only as far as there is room', async () => {
    const budget = new Budget({ docs: 4, bytes: 10 });
    const { admitted, wait } = waiting(budget);
    budget.take(2, 0);
    budget.take(2, 0);
    for (const name of ['a', 'b', 'c']) wait(name, 2);
    budget.give(2, 0);
    budget.give(2, 0);
    await settled();
    assert.deepEqual(admitted, ['a', 'b']);
    budget.give(2, 0);
    await settled();
    assert.deepEqual(admitted, ['a', 'b', 'c']);
  });

  test('keeps his room from those who do not wait', async () => {
    const budget = new Budget({ docs: 4, bytes: 10 });
    const { admitted, wait } = waiting(budget);
    budget.take(4, 0);
    wait('a', 4);
    budget.give(4, 0);
    assert.throws(() => budget.take(1, 0), { code: 'OVERLOADED' });
    await settled();
    assert.deepEqual(admitted, ['a']);
  });
});

describe('who does not wait', () => {
  test('is refused past the documents or the bytes, and gets in again once there is room', () => {
    const budget = new Budget({ docs: 3, bytes: 10 });
    budget.take(2, 6);
    assert.throws(() => budget.take(2, 0), { code: 'OVERLOADED', message: /2 of 3 documents/ });
    assert.throws(() => budget.take(1, 5), { code: 'OVERLOADED', message: /6 of 10 bytes/ });
    budget.give(2, 6);
    budget.take(3, 10);
    assert.deepEqual([budget.docs, budget.bytes], [3, 10]);
  });

  test('gets in with more than the whole budget when nothing else is held', () => {
    const budget = new Budget({ docs: 1, bytes: 1 });
    budget.take(5, 50);
    assert.throws(() => budget.take(1, 1), { code: 'OVERLOADED' });
    budget.give(5, 50);
    assert.deepEqual([budget.docs, budget.bytes], [0, 0]);
  });
});
