import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import fc from 'fast-check';
import type { Dispatcher } from '../../../gateway/dispatch/dispatcher.js';
import type { Outcome } from '../../../src/call.js';
import { dispatcherWith, ENCODE, HANG_MS, joined, kill, shown, work } from './dispatch-support.js';
import { settled, type FakeReplica } from './fake-replica.js';

const FIRST_MS = 60_000;
const PAUSE_MS = 30_000;

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

async function pass(ms: number): Promise<void> {
  mock.timers.tick(ms);
  await settled();
}

/** Lets the dispatcher see that batches are quick. */
async function practise(dispatcher: Dispatcher, ...replicas: FakeReplica[]): Promise<void> {
  for (const replica of replicas) {
    const answer = dispatcher.submit(work('p'), ENCODE);
    replica.at(0).answer();
    await answer;
    await settled();
  }
}

function labels({ held }: FakeReplica): string[][] {
  return held.map((call) => call.labels);
}

/** Two replicas of which the first has been given `words`, and says nothing. */
async function hanging(words: string, options?: Parameters<typeof dispatcherWith>[0]) {
  const setup = dispatcherWith(options);
  const [silent, other] = [joined(setup.dispatcher), joined(setup.dispatcher)];
  await practise(setup.dispatcher, silent, other);
  const answer = setup.dispatcher.submit(work(words), ENCODE);
  assert.equal(silent.held.length, 1);
  return { ...setup, silent, other, answer };
}

describe('a replica that answers nothing', () => {
  test('after 10 s its documents go to another, which gets everything from then on', async () => {
    const { dispatcher, silent, other, answer, hangs, deaths } = await hanging('a b');
    await pass(HANG_MS - 1);
    assert.equal(other.held.length, 0);
    await pass(1);
    assert.deepEqual(labels(other), [['a', 'b']]);
    assert.deepEqual([hangs, deaths], [[silent.info.id], []]);
    other.at(0).answer();
    assert.deepEqual(shown(await answer), ['a!', 'b!']);
    for (let i = 0; i < 4; i++) {
      const more = dispatcher.submit(work(`c${i}`), ENCODE);
      other.at(0).answer();
      assert.deepEqual(shown(await more), [`c${i}!`]);
    }
    assert.equal(silent.held.length, 1, 'is not asked, and not told to stop');
  });

  test('one that was only slow: the first answer counts, the other replica is told to stop', async () => {
    const { dispatcher, silent, other, answer, deaths } = await hanging('a');
    await pass(HANG_MS);
    const second = other.at(0);
    silent.at(0).answer();
    assert.deepEqual(shown(await answer), ['a!']);
    assert.equal(second.signal?.aborted, true);
    await settled();
    assert.deepEqual(deaths, []);
    for (const word of ['b', 'c']) void dispatcher.submit(work(word), ENCODE);
    assert.deepEqual([labels(other), labels(silent)].flat().sort(), [['b'], ['c']]);
    assert.equal(silent.held.length, 1, 'its circuit is closed again');
  });

  test('its late answer changes nothing once another has answered', async () => {
    const { dispatcher, silent, other, answer } = await hanging('a');
    await pass(HANG_MS);
    other.at(0).answer([{ doc: Buffer.from('other') }]);
    assert.deepEqual(shown(await answer), ['other']);
    silent.at(0).answer();
    await settled();
    assert.equal(dispatcher.outstanding(silent.info.id), 0);
    assert.equal(dispatcher.hasReadyReplica, true);
  });

  test('one that then dies is no second failure of its documents', async () => {
    const { dispatcher, silent, other, answer } = await hanging('a');
    await pass(HANG_MS);
    kill(dispatcher, silent);
    await settled();
    assert.deepEqual(labels(other), [['a']]);
    other.at(0).answer();
    assert.deepEqual(shown(await answer), ['a!']);
  });

  test('short deadlines do not hide it', async () => {
    const { dispatcher, hangs } = dispatcherWith();
    const [silent, other] = [joined(dispatcher), joined(dispatcher)];
    await practise(dispatcher, silent, other);
    const now = mock.method(performance, 'now', () => 0);
    const asked: FakeReplica[] = [];
    for (let at = 0; at < 24; at++) {
      now.mock.mockImplementation(() => at * 1000);
      const answer = dispatcher.submit(work('a'), { ...ENCODE, timeoutMs: 1000 });
      const busy = [silent, other].find(({ held }) => held.some((call) => call.labels.includes('a')));
      assert.ok(busy);
      asked.push(busy);
      if (busy === other) other.at(0).answer();
      await settled();
      now.mock.mockImplementation(() => (at + 1) * 1000);
      await pass(1000);
      await answer;
      await settled();
    }
    now.mock.restore();
    // In turns, until the silent one has kept ten callers waiting for a second each.
    assert.deepEqual([asked.filter((replica) => replica === silent).length, hangs], [10, [silent.info.id]]);
  });
});

describe('patience', () => {
  test('is a minute as long as none of the kind has been answered', async () => {
    const { dispatcher, hangs } = dispatcherWith();
    joined(dispatcher);
    void dispatcher.submit(work('a', 'blob'), ENCODE);
    await pass(FIRST_MS - 1);
    assert.equal(hangs.length, 0);
    await pass(1);
    assert.equal(hangs.length, 1);
  });
});

describe('the only replica', () => {
  async function alone() {
    const setup = dispatcherWith();
    const replica = joined(setup.dispatcher);
    await practise(setup.dispatcher, replica);
    const answer = setup.dispatcher.submit(work('a'), ENCODE);
    await pass(HANG_MS);
    return { ...setup, replica, answer };
  }

  test('does not count as ready; its documents are held for 20 s', async () => {
    const { dispatcher, answer } = await alone();
    assert.equal(dispatcher.hasReadyReplica, false);
    await pass(20_000);
    assert.deepEqual(shown(await answer), ['UNAVAILABLE']);
  });

  test('may still answer them meanwhile', async () => {
    const { dispatcher, replica, answer } = await alone();
    await pass(19_999);
    replica.at(0).answer();
    assert.deepEqual(shown(await answer), ['a!']);
    await settled();
    assert.equal(dispatcher.hasReadyReplica, true);
  });

  test('or another that comes', async () => {
    const { dispatcher, answer } = await alone();
    joined(dispatcher).at(0).answer();
    assert.deepEqual(shown(await answer), ['a!']);
  });

  test('is tried again with one batch after 30 s', async () => {
    const { dispatcher, replica } = await alone();
    await pass(PAUSE_MS);
    assert.equal(dispatcher.hasReadyReplica, true);
    for (const word of ['b', 'c']) void dispatcher.submit(work(word, `kind of ${word}`), ENCODE);
    assert.deepEqual(labels(replica), [['a'], ['b']]);
    replica.at(1).answer();
    await settled();
    assert.deepEqual(labels(replica), [['a'], ['c']]);
  });
});

describe('documents that hang their replicas', () => {
  test('after the second one they are halved, and each half has a replica for itself', async () => {
    const { dispatcher, other, answer } = await hanging('a b');
    const [third, fourth] = [joined(dispatcher), joined(dispatcher)];
    await pass(HANG_MS);
    assert.deepEqual(labels(other), [['a', 'b']]);
    await pass(HANG_MS);
    assert.deepEqual([labels(third), labels(fourth)], [[['a']], [['b']]]);
    third.at(0).answer();
    fourth.at(0).answer();
    assert.deepEqual(shown(await answer), ['a!', 'b!']);
  });

  test('one alone is given up after its retries', async () => {
    const { other, answer, hangs } = await hanging('a', { retries: 1 });
    await pass(HANG_MS);
    assert.equal(other.held.length, 1);
    await pass(HANG_MS);
    assert.deepEqual(shown(await answer), ['DOCUMENT_KILLS']);
    assert.equal(hangs.length, 2);
  });

  test('retries: 0 answers at once', async () => {
    const { answer, other } = await hanging('a', { retries: 0 });
    await pass(HANG_MS);
    assert.deepEqual(shown(await answer), ['REPLICA_LOST']);
    assert.equal(other.held.length, 0);
  });

  test('every other document is answered, and every one that hangs gets its error', async () => {
    const batches = fc.array(fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(batches, fc.integer({ min: 1, max: 3 }), async (requests, retries) => {
        mock.timers.reset();
        mock.timers.enable({ apis: ['setTimeout'] });
        const { dispatcher } = dispatcherWith({ retries });
        // A fresh replica for each that hangs, as a supervisor would start one.
        const start = (): void => {
          joined(dispatcher, { credit: 1, batchSize: 8 }, (call) => {
            if (call.labels.some((label) => label.startsWith('H'))) setTimeout(start, HANG_MS + 1000);
            else queueMicrotask(() => call.answer());
          });
        };
        start();
        await dispatcher.submit(work('p'), ENCODE);
        const answers: Outcome[][] = [];
        const words = requests.map((docs, i) => docs.map((hangs, j) => `${hangs ? 'H' : 'ok'}-${i}-${j}`));
        const all = words.map(async (one, i) => (answers[i] = await dispatcher.submit(work(one.join(' ')), ENCODE)));
        // By seconds: a batch that hangs is never held for longer than the 20 s without a ready replica.
        for (let second = 0; second < 2000 && answers.filter(Boolean).length < words.length; second++) await pass(1000);
        await Promise.all(all);
        words.forEach((one, i) =>
          assert.deepEqual(
            shown(answers[i] ?? []),
            one.map((word) => (word.startsWith('H') ? 'DOCUMENT_KILLS' : `${word}!`)),
          ),
        );
      }),
      { numRuns: 30 },
    );
  });
});

describe('a replica whose batches fail as a whole', () => {
  /** Gives work until `failing` has failed `times` more batches; the others answer theirs. */
  async function fail(dispatcher: Dispatcher, failing: FakeReplica, other: FakeReplica, times: number): Promise<void> {
    for (let failed = 0, tries = 0; failed < times && tries < 100; tries++) {
      const answer = dispatcher.submit(work('a'), ENCODE);
      if (failing.held.length > 0) {
        failed += 1;
        failing.at(0).fail('EXECUTOR_FAILED');
      } else other.at(0).answer();
      await answer;
      await settled();
    }
  }

  async function share(dispatcher: Dispatcher, failing: FakeReplica, other: FakeReplica): Promise<number> {
    let asked = 0;
    for (let i = 0; i < 6; i++) {
      const answer = dispatcher.submit(work('a'), ENCODE);
      if (failing.held.length > 0) asked += 1;
      (failing.held[0] ?? other.at(0)).answer();
      await answer;
      await settled();
    }
    return asked;
  }

  test('is left out after five in a row while another succeeds, for 1 s, then 2 s; one success mends it', async () => {
    const { dispatcher } = dispatcherWith();
    const [failing, other] = [joined(dispatcher), joined(dispatcher)];
    await fail(dispatcher, failing, other, 4);
    assert.equal(await share(dispatcher, failing, other), 3, 'four are not enough, and a success counts anew');
    await fail(dispatcher, failing, other, 5);
    await pass(999);
    assert.equal(await share(dispatcher, failing, other), 0);
    await pass(1);
    await fail(dispatcher, failing, other, 1);
    await pass(1999);
    assert.equal(await share(dispatcher, failing, other), 0);
    await pass(1);
    assert.ok((await share(dispatcher, failing, other)) >= 3);
  });

  test('stays when no other does better', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher);
    for (let i = 0; i < 12; i++) {
      const answer = dispatcher.submit(work('a'), ENCODE);
      replica.at(0).fail('EXECUTOR_FAILED');
      assert.deepEqual(shown(await answer), ['EXECUTOR_FAILED']);
      await settled();
    }
    assert.equal(dispatcher.hasReadyReplica, true);
  });

  test('errors about what was asked are no failures of the replica', async () => {
    const { dispatcher } = dispatcherWith();
    const [asked, other] = [joined(dispatcher), joined(dispatcher)];
    for (let i = 0; i < 20; i++) {
      const answer = dispatcher.submit(work('a'), ENCODE);
      if (asked.held.length > 0) asked.at(0).fail('UNKNOWN_MODEL');
      else other.at(0).answer();
      await answer;
      await settled();
    }
    assert.equal(await share(dispatcher, asked, other), 3);
  });
});
