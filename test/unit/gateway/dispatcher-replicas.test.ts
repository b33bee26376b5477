import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Dispatcher } from '../../../gateway/dispatch/dispatcher.js';
import { dispatcherWith, ENCODE, joined, kill, shown, work } from './dispatch-support.js';
import { FakeReplica, settled } from './fake-replica.js';

describe('balancing', () => {
  test('a replica never holds more batches than its credit', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { batchSize: 1, credit: 2 });
    const answer = dispatcher.submit(work('a b c'), ENCODE);
    assert.deepEqual(
      replica.held.map(({ labels }) => labels),
      [['a'], ['b']],
    );
    replica.at(1).answer();
    await settled();
    assert.deepEqual(
      replica.held.map(({ labels }) => labels),
      [['a'], ['c']],
    );
    replica.at(0).answer();
    replica.at(0).answer();
    assert.deepEqual(shown(await answer), ['a!', 'b!', 'c!']);
  });

  test('replicas that are equally free take turns', async () => {
    const { dispatcher } = dispatcherWith();
    const taken: string[] = [];
    for (const id of ['r1', 'r2', 'r3'])
      joined(dispatcher, { id }, (call) => {
        taken.push(id);
        queueMicrotask(() => call.answer());
      });
    for (let i = 0; i < 6; i++) {
      await dispatcher.submit(work('a'), ENCODE);
      await settled();
    }
    assert.deepEqual(taken, ['r1', 'r2', 'r3', 'r1', 'r2', 'r3']);
  });

  test('the replica with the fewest outstanding documents is served first', async () => {
    const step = fc.oneof(fc.record({ submit: fc.integer({ min: 1, max: 4 }) }), fc.record({ answer: fc.nat() }));
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 4 }),
        fc.array(step, { maxLength: 40, size: 'max' }),
        async (count, steps) => {
          const { dispatcher } = dispatcherWith();
          const replicas = Array.from({ length: count }, () => joined(dispatcher, { credit: 3 }));
          const answers: Promise<unknown>[] = [];
          for (const step of steps) {
            const held = replicas.flatMap((replica) => replica.held);
            if ('answer' in step) held[step.answer % held.length]?.answer();
            else if (held.length < count * 3) {
              const before = replicas.map((replica) => ({ replica, documents: replica.heldDocuments }));
              const free = before.filter(({ replica }) => replica.held.length < 3);
              const words = Array.from({ length: step.submit }, (_, i) => `w${i}`).join(' ');
              answers.push(dispatcher.submit(work(words), ENCODE));
              const taker = before.find(({ replica, documents }) => replica.heldDocuments > documents);
              assert.equal(taker?.documents, Math.min(...free.map(({ documents }) => documents)));
            }
            await settled();
            for (const replica of replicas)
              assert.equal(dispatcher.outstanding(replica.info.id), replica.heldDocuments);
          }
          for (const replica of replicas) for (const call of replica.held) call.answer();
          await Promise.all(answers);
        },
      ),
    );
  });
});

describe('a replica that dies', () => {
  test('its batch goes to another one before what came later', async () => {
    const { dispatcher, deaths } = dispatcherWith();
    const dying = joined(dispatcher, { credit: 1 });
    const first = dispatcher.submit(work('a b'), ENCODE);
    const second = dispatcher.submit(work('c'), ENCODE);
    kill(dispatcher, dying);
    await settled();
    const replica = joined(dispatcher, { credit: 1 });
    assert.deepEqual(replica.at(0).labels, ['a', 'b']);
    replica.at(0).answer();
    await settled();
    assert.deepEqual(replica.at(0).labels, ['c']);
    replica.at(0).answer();
    assert.deepEqual(shown([...(await first), ...(await second)]), ['a!', 'b!', 'c!']);
    assert.deepEqual(deaths, [2]);
  });

  test('its batch is computed alone, so that no neighbour falls under suspicion', async () => {
    const { dispatcher } = dispatcherWith();
    const dying = joined(dispatcher, { credit: 1 });
    const suspect = dispatcher.submit(work('a'), ENCODE);
    const others = dispatcher.submit(work('b c'), ENCODE);
    const busy = joined(dispatcher, { credit: 2 });
    assert.deepEqual(busy.at(0).labels, ['b', 'c']);
    kill(dispatcher, dying);
    await settled();
    assert.equal(busy.held.length, 1, 'waits until the replica is free');
    busy.at(0).answer();
    await settled();
    assert.deepEqual(busy.at(0).labels, ['a']);
    const later = dispatcher.submit(work('d'), ENCODE);
    assert.equal(busy.held.length, 1, 'nothing goes beside it');
    busy.at(0).answer();
    await settled();
    busy.at(0).answer();
    assert.deepEqual(shown([...(await suspect), ...(await others), ...(await later)]), ['a!', 'b!', 'c!', 'd!']);
  });

  test('retries: 0 answers with REPLICA_LOST and asks nobody else', async () => {
    const { dispatcher } = dispatcherWith({ retries: 0 });
    const replica = joined(dispatcher);
    const other = joined(dispatcher);
    const answer = dispatcher.submit(work('a b'), ENCODE);
    kill(dispatcher, replica);
    assert.deepEqual(shown(await answer), ['REPLICA_LOST', 'REPLICA_LOST']);
    await settled();
    assert.equal(other.held.length, 0);
  });

  test('a batch filled for one is cut for another that takes less at once', async () => {
    const { dispatcher } = dispatcherWith();
    const large = joined(dispatcher, { batchSize: 5 });
    const answer = dispatcher.submit(work('a b c d e'), ENCODE);
    kill(dispatcher, large);
    await settled();
    const small = joined(dispatcher, { batchSize: 2 });
    for (const labels of [['a', 'b'], ['c', 'd'], ['e']]) {
      assert.deepEqual(
        small.held.map((call) => call.labels),
        [labels],
      );
      small.at(0).answer();
      await settled();
    }
    assert.deepEqual(shown(await answer), ['a!', 'b!', 'c!', 'd!', 'e!']);
  });

  test('a transport that broke is nobody’s fault: the batch is neither counted nor suspect', async () => {
    const { dispatcher, deaths } = dispatcherWith({ retries: 0 });
    const replica = joined(dispatcher);
    const answer = dispatcher.submit(work('a'), ENCODE);
    const more = dispatcher.submit(work('b'), ENCODE);
    dispatcher.replicaGone(replica);
    replica.failAll('TRANSPORT_FAILED');
    await settled();
    const again = joined(dispatcher);
    assert.equal(again.held.length, 2);
    again.at(0).answer();
    again.at(0).answer();
    assert.deepEqual(shown([...(await answer), ...(await more)]), ['a!', 'b!']);
    assert.deepEqual(deaths, []);
  });

  test('an id that comes back is a new replica: what the old one does no longer counts', async () => {
    const { dispatcher } = dispatcherWith();
    const old = joined(dispatcher, { id: 'same', credit: 1 });
    const first = dispatcher.submit(work('a'), ENCODE);
    const fresh = joined(dispatcher, { id: 'same', credit: 1 });
    dispatcher.replicaGone(old);
    const second = dispatcher.submit(work('b'), ENCODE);
    assert.deepEqual(fresh.at(0).labels, ['b']);
    old.at(0).answer();
    await settled();
    assert.equal(dispatcher.outstanding('same'), 1);
    fresh.at(0).answer();
    assert.deepEqual(shown([...(await first), ...(await second)]), ['a!', 'b!']);
  });
});

/** A replica that dies of some documents and answers the others; the next one stands ready at once. */
function mortal(
  dispatcher: Dispatcher,
  kills: (label: string) => boolean,
  info: { batchSize: number; credit: number },
): void {
  joined(dispatcher, info, (call, replica) =>
    setImmediate(() => {
      if (!replica.held.includes(call)) return;
      if (!call.labels.some(kills)) {
        call.answer();
        return;
      }
      kill(dispatcher, replica);
      mortal(dispatcher, kills, info);
    }),
  );
}

describe('a document that kills', () => {
  test('is found by halving: 7 deaths for one among 32', async () => {
    const setup = dispatcherWith();
    mortal(setup.dispatcher, (label) => label === 'w20', { batchSize: 32, credit: 2 });
    const words = Array.from({ length: 32 }, (_, i) => `w${i}`);
    const outcomes = shown(await setup.dispatcher.submit(work(words.join(' ')), ENCODE));
    assert.deepEqual(
      outcomes,
      words.map((word) => (word === 'w20' ? 'DOCUMENT_KILLS' : `${word}!`)),
    );
    // Two under the whole batch, then 16, 8, 4, 2 and the one.
    assert.deepEqual(setup.deaths, [32, 32, 16, 8, 4, 2, 1]);
  });

  test('alone, is given to as many further replicas as the flow allows', async () => {
    for (const retries of [1, 3]) {
      const setup = dispatcherWith({ retries });
      mortal(setup.dispatcher, () => true, { batchSize: 4, credit: 2 });
      const [outcome] = await setup.dispatcher.submit(work('a'), ENCODE);
      assert.ok(outcome && 'error' in outcome);
      assert.equal(outcome.error.code, 'DOCUMENT_KILLS');
      assert.equal(outcome.error.message, `each of ${retries + 1} replicas of "clip" died or hung under this document`);
      assert.equal(setup.deaths.length, retries + 1);
    }
  });

  test('any of them are found and no neighbour is lost', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        async (requests, retries, batchSize, credit, replicas) => {
          const setup = dispatcherWith({ retries });
          const kills = (label: string): boolean => label.startsWith('K');
          for (let i = 0; i < replicas; i++) mortal(setup.dispatcher, kills, { batchSize, credit });
          const answers = requests.map((docs, request) => {
            const words = docs.map((deadly, doc) => `${deadly ? 'K' : 'ok'}-${request}-${doc}`);
            return setup.dispatcher.submit(work(words.join(' ')), ENCODE).then((outcomes) => {
              assert.deepEqual(
                shown(outcomes),
                words.map((word) => (kills(word) ? 'DOCUMENT_KILLS' : `${word}!`)),
              );
            });
          });
          await Promise.all(answers);
        },
      ),
    );
  });
});

test('a replica that leaves the roster in the middle of a call may still answer it', async () => {
  const { dispatcher } = dispatcherWith();
  const replica = new FakeReplica();
  dispatcher.replicaChanged(replica);
  const answer = dispatcher.submit(work('a'), ENCODE);
  dispatcher.replicaGone(replica);
  replica.at(0).answer();
  assert.deepEqual(shown(await answer), ['a!']);
});
