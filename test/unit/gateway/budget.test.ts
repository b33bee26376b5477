import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Budget } from '../../../gateway/dispatch/budget.js';

/** One turn of the event loop for each of the few who wait. */
async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

/** Names of those that wait for room, in the order in which they got in, and what they then take. */
function waiting(budget: Budget) {
  const admitted: string[] = [];
  const wait = (name: string, docs: number, signal?: AbortSignal, takes = docs): void => {
    void budget.whenFree(docs, 0, signal).then(() => {
      admitted.push(name);
      if (!signal?.aborted && takes > 0) budget.take(takes, 0);
    });
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
    assert.deepEqual(admitted.sort(), ['large', 'small']);
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

  test('gets in behind one that takes nothing after all', async () => {
    const budget = new Budget({ docs: 4, bytes: 10 });
    const { admitted, wait } = waiting(budget);
    budget.take(4, 0);
    wait('asks nobody', 4, undefined, 0);
    wait('next', 4);
    budget.give(4, 0);
    await settled();
    assert.deepEqual(admitted, ['asks nobody', 'next']);
  });
});
