import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { dispatcherWith, ENCODE, joined, kill, shown, work, type Setup } from './dispatch-support.js';
import { settled, type FakeReplica, type HeldCall } from './fake-replica.js';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

async function pass(ms: number): Promise<void> {
  mock.timers.tick(ms);
  await settled();
}

/** Long past any multiple of what a fake replica takes, short of a hang. */
const LATE_MS = 5000;

/** Two replicas of a dispatcher that has seen enough batches to know how long they take. */
async function practised(batches = 64): Promise<Setup & { first: FakeReplica; second: FakeReplica }> {
  const setup = dispatcherWith({ hedge: 2 });
  const [first, second] = [joined(setup.dispatcher), joined(setup.dispatcher)];
  for (let i = 0; i < batches; i++) {
    const answer = setup.dispatcher.submit(work('p'), ENCODE);
    (first.held[0] ?? second.at(0)).answer();
    await answer;
    await settled();
  }
  return { ...setup, first, second };
}

describe('a batch that takes far longer than usual', () => {
  test('goes to a second replica too; its answer counts, and the first is told to stop', async () => {
    const { dispatcher, first, second, hedges } = await practised();
    const answer = dispatcher.submit(work('a'), ENCODE);
    const signal = first.at(0).signal;
    await pass(LATE_MS);
    assert.deepEqual(second.at(0).labels, ['a']);
    second.at(0).answer();
    assert.deepEqual(shown(await answer), ['a!']);
    assert.equal(signal?.aborted, true);
    assert.equal(first.held.length, 0);
    assert.deepEqual(hedges, { sent: 1, won: 1 });
  });

  test('stays with the first where it is bulk work and interactive requests come', async () => {
    const { dispatcher, second, hedges } = await practised();
    void dispatcher.submit(work('a'), { ...ENCODE, priority: 'bulk' });
    await pass(LATE_MS);
    assert.equal(second.held.length, 0);
    assert.equal(hedges.sent, 0);
  });

  test('may still be answered by the first; then the second is told to stop', async () => {
    const { dispatcher, first, second, hedges } = await practised();
    const answer = dispatcher.submit(work('a'), ENCODE);
    await pass(LATE_MS);
    const signal = second.at(0).signal;
    first.at(0).answer();
    assert.deepEqual(shown(await answer), ['a!']);
    await settled();
    assert.equal(signal?.aborted, true);
    assert.deepEqual(hedges, { sent: 1, won: 0 });
  });

  test('survives the death of either replica without being computed a third time', async () => {
    for (const victim of [0, 1]) {
      const { dispatcher, first, second } = await practised();
      const third = joined(dispatcher, { state: 'starting' });
      const answer = dispatcher.submit(work('a'), ENCODE);
      await pass(LATE_MS);
      const both = [first, second];
      kill(dispatcher, both[victim] ?? first);
      (third.info as { state: string }).state = 'ready';
      dispatcher.replicaChanged(third);
      await settled();
      assert.equal(third.held.length, 0);
      both[1 - victim]?.at(0).answer();
      assert.deepEqual(shown(await answer), ['a!']);
    }
  });

  test('is tried again when both die', async () => {
    const { dispatcher, first, second } = await practised();
    const answer = dispatcher.submit(work('a'), ENCODE);
    await pass(LATE_MS);
    kill(dispatcher, first);
    kill(dispatcher, second);
    await settled();
    const third = joined(dispatcher);
    third.at(0).answer();
    assert.deepEqual(shown(await answer), ['a!']);
  });

  test('is left alone while other documents wait, and while too few batches were seen', async () => {
    const { dispatcher, first, second, hedges } = await practised();
    const answers = dispatcher.submit(work('a b c d e f g h i j k l m n o p q r s t'), ENCODE);
    await pass(LATE_MS);
    assert.equal(hedges.sent, 0);
    while (first.held[0] ?? second.held[0]) {
      (first.held[0] ?? second.at(0)).answer();
      await settled();
    }
    await answers;

    const young = await practised(3);
    void young.dispatcher.submit(work('a'), ENCODE);
    await pass(LATE_MS);
    assert.equal(young.hedges.sent, 0);
  });

  test('goes to a second replica later, where none was free at the time', async () => {
    const { dispatcher, first, second, hedges } = await practised();
    const slow = dispatcher.submit(work('a'), ENCODE);
    const others = dispatcher.submit(work('b c d e f g h i j k l m n o p q r s t'), ENCODE);
    const stuck = first.at(0);
    await pass(LATE_MS);
    assert.equal(hedges.sent, 0);
    const next = (): HeldCall | undefined => [...first.held, ...second.held].find((held) => held !== stuck);
    for (let held = next(); held; held = next()) {
      held.answer();
      await settled();
    }
    await others;
    await pass(LATE_MS);
    assert.deepEqual(second.at(0).labels, ['a']);
    second.at(0).answer();
    assert.deepEqual(shown(await slow), ['a!']);
    assert.deepEqual(hedges, { sent: 1, won: 1 });
  });

  test('is not hedged without bound: one in twenty, and a few that were saved', async () => {
    const { dispatcher, first, second, hedges } = await practised(200);
    for (let i = 0; i < 100; i++) {
      const answer = dispatcher.submit(work('a'), ENCODE);
      await pass(LATE_MS);
      (first.held[0] ?? second.at(0)).answer();
      await answer;
      await settled();
    }
    assert.ok(hedges.sent >= 5 && hedges.sent <= 5 + 0.05 * 100 + 1, `${hedges.sent}`);
  });
});
