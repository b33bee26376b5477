import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import type { Dispatcher } from '../../../gateway/dispatch/dispatcher.js';
import type { Priority } from '../../../gateway/dispatch/item.js';
import { dispatcherWith, ENCODE, joined, kill, shown, work } from './dispatch-support.js';
import { settled } from './fake-replica.js';

test('tells what waits, what replicas hold, how many hold it, and what they answered', async () => {
  const { dispatcher } = dispatcherWith();
  const [first, second] = [
    joined(dispatcher, { batchSize: 2, credit: 1 }),
    joined(dispatcher, { batchSize: 2, credit: 1 }),
  ];
  joined(dispatcher, { batchSize: 2, credit: 1 });
  const answers = [dispatcher.submit(work('a b'), ENCODE), dispatcher.submit(work('c'), ENCODE)];
  const { oldest, ...load } = dispatcher.load();
  assert.deepEqual(load, { queued: 0, running: 3, busy: 2, done: 0 });
  assert.equal(oldest, Infinity);
  first.at(0).answer();
  second.at(0).answer();
  await Promise.all(answers);
  assert.deepEqual(dispatcher.load(), { queued: 0, running: 0, busy: 0, done: 3, oldest: Infinity });
});

describe('batches', () => {
  test('a free replica gets what is there at once; while all are busy, documents gather up to its batch size', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { batchSize: 3, credit: 1 });
    const first = dispatcher.submit(work('a'), ENCODE);
    assert.deepEqual(replica.at(0).labels, ['a']);
    const others = ['b', 'c d', 'e f'].map((words) => dispatcher.submit(work(words), ENCODE));
    assert.equal(replica.held.length, 1);
    replica.at(0).answer();
    assert.deepEqual(shown(await first), ['a!']);
    await settled();
    assert.deepEqual(replica.at(0).labels, ['b', 'c', 'd']);
    replica.at(0).answer();
    await settled();
    assert.deepEqual(replica.at(0).labels, ['e', 'f']);
    replica.at(0).answer();
    assert.deepEqual((await Promise.all(others)).map(shown), [['b!'], ['c!', 'd!'], ['e!', 'f!']]);
  });

  test('of requests that arrive in one turn of the event loop are one, even for a free replica', async () => {
    const { dispatcher } = dispatcherWith({ soon: setImmediate });
    const replica = joined(dispatcher, { credit: 2 });
    const answers = ['a', 'b c', 'd'].map((words) => dispatcher.submit(work(words), ENCODE));
    assert.equal(replica.held.length, 0);
    await immediate();
    assert.deepEqual(replica.at(0).labels, ['a', 'b', 'c', 'd']);
    assert.equal(replica.held.length, 1);
    replica.at(0).answer();
    assert.deepEqual((await Promise.all(answers)).map(shown), [['a!'], ['b!', 'c!'], ['d!']]);
  });

  test('hold documents of one endpoint, kind and set of parameters; the lane that waits longest goes first', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { credit: 1, batchSize: 2 });
    const all = [
      dispatcher.submit(work('busy'), ENCODE),
      dispatcher.submit([...work('t1'), ...work('i1', 'blob'), ...work('t2')], ENCODE),
      dispatcher.submit(work('r1'), { ...ENCODE, endpoint: '/rank' }),
      dispatcher.submit(work('p1'), { ...ENCODE, parameters: { k: 1 } }),
      dispatcher.submit(work('t3'), ENCODE),
      dispatcher.submit(work('p2'), { ...ENCODE, parameters: { k: 1 } }),
    ];
    const batches: string[][] = [];
    while (replica.held.length > 0) {
      const call = replica.at(0);
      batches.push([call.endpoint, JSON.stringify(call.parameters), ...call.labels]);
      call.answer();
      await settled();
    }
    assert.deepEqual(batches, [
      ['/encode', '{}', 'busy'],
      ['/encode', '{}', 't1', 't2'],
      ['/encode', '{}', 'i1'],
      ['/rank', '{}', 'r1'],
      ['/encode', '{"k":1}', 'p1', 'p2'],
      ['/encode', '{}', 't3'],
    ]);
    assert.deepEqual(shown((await Promise.all(all)).flat()), 'busy! t1! i1! t2! r1! p1! t3! p2!'.split(' '));
  });

  test('documents larger than 32 MiB together go one batch after the other', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { credit: 1 });
    const large = [20, 20, 40, 1].map((mib) => ({ doc: new Uint8Array(mib * 2 ** 20), kind: 'blob' }));
    const answer = dispatcher.submit(large, ENCODE);
    const sizes: number[][] = [];
    while (replica.held.length > 0) {
      const { docs } = replica.at(0);
      sizes.push(docs.map((doc) => doc.byteLength / 2 ** 20));
      replica.at(0).answer(docs.map(() => ({ doc: new Uint8Array() })));
      await settled();
    }
    assert.deepEqual(sizes, [[20], [20], [40], [1]]);
    await answer;
  });

  test('no documents are answered at once', async () => {
    assert.deepEqual(await dispatcherWith().dispatcher.submit([], ENCODE), []);
  });
});

describe('answers', () => {
  test('an error of one document stays with it', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher);
    const answer = dispatcher.submit(work('a b c'), ENCODE);
    const error = { code: 'INVALID_DOCUMENT', message: 'no picture' } as const;
    replica.at(0).answer([{ doc: Buffer.from('A') }, { error }, { doc: Buffer.from('C') }]);
    assert.deepEqual(await answer, [{ doc: Buffer.from('A') }, { error }, { doc: Buffer.from('C') }]);
  });

  test('an error that the handler threw is the answer to each document of the batch, and is not tried again', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher);
    const answer = dispatcher.submit(work('a b'), ENCODE);
    replica.at(0).fail('EXECUTOR_FAILED');
    assert.deepEqual(shown(await answer), ['EXECUTOR_FAILED', 'EXECUTOR_FAILED']);
    await settled();
    assert.equal(replica.held.length, 0);
  });

  test('an answer that does not fit the call is INTERNAL, never a hanging caller', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher);
    for (const message of [
      { header: { errors: [] }, parts: [] },
      { header: {}, parts: [new Uint8Array(), new Uint8Array()] },
      { header: { errors: 'none' }, parts: [new Uint8Array(), new Uint8Array()] },
    ]) {
      const answer = dispatcher.submit(work('a b'), ENCODE);
      replica.at(0).answerRaw(message);
      assert.deepEqual(shown(await answer), ['INTERNAL', 'INTERNAL']);
    }
  });
});

describe('a caller that goes away', () => {
  test('takes its waiting documents along, and the batch that is computed only when nobody else waits for it', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { credit: 1, batchSize: 2 });
    const [goes, stays] = [new AbortController(), new AbortController()];
    const gone = dispatcher.submit(work('a'), { ...ENCODE, signal: goes.signal });
    const both = dispatcher.submit(work('b c d'), { ...ENCODE, signal: goes.signal });
    const other = dispatcher.submit(work('e'), { ...ENCODE, signal: stays.signal });
    replica.at(0).answer();
    assert.deepEqual(shown(await gone), ['a!']);
    await settled();
    const running = replica.at(0);
    assert.deepEqual(running.labels, ['b', 'c']);
    goes.abort();
    assert.deepEqual(shown(await both), ['CANCELLED', 'CANCELLED', 'CANCELLED']);
    assert.equal(running.signal?.aborted, true);
    await settled();
    assert.deepEqual(replica.at(0).labels, ['e']);
    replica.at(0).answer();
    assert.deepEqual(shown(await other), ['e!']);
  });

  test('is not one that was answered', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, {});
    const answered = dispatcher.submit(work('a'), ENCODE);
    await settled();
    const call = replica.at(0);
    call.answer();
    assert.deepEqual(shown(await answered), ['a!']);
    await settled();
    assert.equal(call.signal?.aborted, false);
  });

  test('does not stop a batch that it shares', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { credit: 1 });
    const goes = new AbortController();
    const first = dispatcher.submit(work('busy'), ENCODE);
    const gone = dispatcher.submit(work('a'), { ...ENCODE, signal: goes.signal });
    const other = dispatcher.submit(work('b'), ENCODE);
    replica.at(0).answer();
    await first;
    await settled();
    goes.abort();
    assert.deepEqual(shown(await gone), ['CANCELLED']);
    assert.equal(replica.at(0).signal?.aborted, false);
    assert.deepEqual(replica.at(0).labels, ['a', 'b']);
    replica.at(0).answer();
    assert.deepEqual(shown(await other), ['b!']);
  });

  test('had its documents in a batch that is tried again: they are left out', async () => {
    const { dispatcher } = dispatcherWith();
    const dying = joined(dispatcher);
    const goes = new AbortController();
    const busy = dispatcher.submit(work('busy1 busy2 busy3 busy4 x1 x2 x3 x4'), ENCODE);
    const gone = dispatcher.submit(work('a'), { ...ENCODE, signal: goes.signal });
    const other = dispatcher.submit(work('b'), ENCODE);
    dying.at(0).answer();
    dying.at(0).answer();
    await busy;
    await settled();
    assert.deepEqual(dying.at(0).labels, ['a', 'b']);
    kill(dispatcher, dying);
    await settled();
    goes.abort();
    await gone;
    const replica = joined(dispatcher);
    assert.deepEqual(replica.at(0).labels, ['b']);
    replica.at(0).answer();
    assert.deepEqual(shown(await other), ['b!']);
  });

  test('before it asked is answered and nothing is computed', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher);
    const answer = dispatcher.submit(work('a b'), { ...ENCODE, signal: AbortSignal.abort() });
    assert.deepEqual(shown(await answer), ['CANCELLED', 'CANCELLED']);
    assert.equal(replica.held.length, 0);
  });
});

describe('callers and priorities', () => {
  /** What each batch holds, in the order in which a replica with room for `size` gets them. */
  async function batches(size: number, submit: (dispatcher: Dispatcher) => void): Promise<string[]> {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { credit: 1, batchSize: size });
    void dispatcher.submit(work('busy'), ENCODE);
    submit(dispatcher);
    const seen: string[] = [];
    for (replica.at(0).answer(); await settled(), replica.held.length > 0; replica.at(0).answer()) {
      seen.push(replica.at(0).labels.join(' '));
    }
    return seen;
  }
  const from = (caller: string, priority: Priority = 'interactive') => ({ ...ENCODE, caller, priority });

  test('callers take turns within a batch, however much one of them sends', async () => {
    const seen = await batches(4, (dispatcher) => {
      void dispatcher.submit(work('a1 a2 a3 a4 a5 a6 a7'), from('a'));
      void dispatcher.submit(work('b1 b2'), from('b'));
      void dispatcher.submit(work('c1'), from('c'));
    });
    assert.deepEqual(seen, ['a1 b1 c1 a2', 'b2 a3 a4 a5', 'a6 a7']);
  });

  test('interactive work goes before bulk work, whose batches are small meanwhile', async () => {
    const seen = await batches(3, (dispatcher) => {
      void dispatcher.submit(work('b1 b2 b3'), from('bulk', 'bulk'));
      void dispatcher.submit(work('i1 i2 i3 i4'), from('a'));
    });
    assert.deepEqual(seen, ['i1 i2 i3', 'i4', 'b1', 'b2', 'b3']);
  });

  test('interactive work of another lane goes before bulk work too', async () => {
    const seen = await batches(2, (dispatcher) => {
      void dispatcher.submit(work('b1 b2 b3'), from('bulk', 'bulk'));
      void dispatcher.submit(work('p1'), { ...from('a'), parameters: { k: 1 } });
    });
    assert.deepEqual(seen, ['p1', 'b1', 'b2', 'b3']);
  });

  test('bulk work is never stopped: each eighth batch is its own first', async () => {
    const many = Array.from({ length: 20 }, (_, i) => `i${i}`).join(' ');
    const seen = await batches(1, (dispatcher) => {
      void dispatcher.submit(work('b1 b2'), from('bulk', 'bulk'));
      void dispatcher.submit(work(many), from('a'));
    });
    assert.deepEqual(
      seen.flatMap((label, i) => (label.startsWith('b') ? [i + 2] : [])), // `busy` was the first batch
      [8, 16],
    );
  });

  test('without interactive requests bulk work is prefetched; while they come, nothing of it waits at a replica', async () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { credit: 2, batchSize: 2 });
    void dispatcher.submit(work('b1 b2 b3 b4 b5 b6'), from('bulk', 'bulk'));
    assert.deepEqual(
      replica.held.map(({ labels }) => labels),
      [
        ['b1', 'b2'],
        ['b3', 'b4'],
      ],
    );
    void dispatcher.submit(work('i1'), from('a'));
    replica.at(0).answer();
    await settled();
    assert.deepEqual(replica.at(1).labels, ['i1'], 'next, behind what was sent before it came');
    replica.at(0).answer();
    await settled();
    assert.equal(replica.held.length, 1, 'nothing behind i1');
    replica.at(0).answer();
    await settled();
    assert.deepEqual(replica.at(0).labels, ['b5']);
    assert.equal(replica.held.length, 1);
  });
});
