import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dispatcherWith, ENCODE, joined, work } from './dispatch-support.js';
import { settled } from './fake-replica.js';

describe('replicas that other gateways give work to', () => {
  test('what an answer tells counts: the other replica is served first', async () => {
    const { dispatcher } = dispatcherWith();
    const [busy, idle] = [joined(dispatcher), joined(dispatcher)];
    busy.ofOthers = 8;
    for (const replica of [busy, idle]) {
      const answer = dispatcher.submit(work('a'), ENCODE);
      replica.at(0).answer();
      await answer;
      await settled();
    }
    for (let i = 0; i < 2; i++) void dispatcher.submit(work('a'), ENCODE);
    assert.deepEqual([busy.held.length, idle.held.length], [0, 2]);
  });

  test('what a replica announces counts too, until it announces otherwise', () => {
    const { dispatcher } = dispatcherWith();
    const [busy, idle] = [joined(dispatcher, { outstanding: 8 }), joined(dispatcher)];
    void dispatcher.submit(work('a'), ENCODE);
    assert.deepEqual([busy.held.length, idle.held.length], [0, 1]);
    busy.info.outstanding = 0;
    dispatcher.replicaChanged(busy);
    void dispatcher.submit(work('a'), ENCODE);
    assert.deepEqual([busy.held.length, idle.held.length], [1, 1]);
  });

  test('a replica with work of others gets one batch, not all its credit: a second would only wait there', () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { outstanding: 4, credit: 2, batchSize: 1 });
    void dispatcher.submit(work('a b'), ENCODE);
    assert.equal(replica.held.length, 1);
  });

  test('its own documents are not counted twice', () => {
    const { dispatcher } = dispatcherWith();
    const replica = joined(dispatcher, { credit: 2, batchSize: 1 });
    void dispatcher.submit(work('a'), ENCODE);
    replica.info.outstanding = 1;
    dispatcher.replicaChanged(replica);
    void dispatcher.submit(work('b'), ENCODE);
    assert.equal(replica.held.length, 2);
  });

  test('of many, the better of two at random: not all gateways choose the same', () => {
    const chosen = new Set<string>();
    for (let i = 0; i < 200; i++) {
      const { dispatcher } = dispatcherWith();
      const replicas = [4, 1, 2, 3].map((outstanding) => joined(dispatcher, { id: `r${outstanding}`, outstanding }));
      void dispatcher.submit(work('a'), ENCODE);
      chosen.add(replicas.find(({ held }) => held.length > 0)?.info.id ?? '');
    }
    assert.deepEqual([...chosen].sort(), ['r1', 'r2', 'r3'], 'but never the worst');
  });
});
