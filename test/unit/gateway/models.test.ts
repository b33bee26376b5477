import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Models } from '../../../gateway/models.js';
import { loadFlow } from '../../../src/flow/load.js';
import { FakeDirectory, FakeReplica } from './fake-replica.js';

const flow = loadFlow(
  { text: 'executors: [{ name: a, uses: A }, { name: ab, uses: B }, { name: upper, uses: C }]' },
  {},
);

function model(name: string) {
  const scores = { kind: 'softmax', scale: 100 } as const;
  return { name, endpoint: '/encode', dimension: 2, scores, matryoshka: null, fingerprint: null };
}

function joined(directory: FakeDirectory, executor: string, ...names: string[]): FakeReplica {
  const replica = new FakeReplica({ executor, models: names.map(model) });
  directory.join(replica);
  return replica;
}

test('models are those that executors told of, whether or not a replica is there at the moment', () => {
  const directory = new FakeDirectory();
  const models = new Models(flow, directory);
  assert.throws(() => models.find('m'), { code: 'UNAVAILABLE', message: /a, ab, upper/ });
  const replica = joined(directory, 'a', 'm');
  joined(directory, 'ab');
  joined(directory, 'upper');
  assert.equal(models.find('m').info.name, 'm');
  assert.equal(models.find(undefined).info.name, 'm');
  assert.throws(() => models.find('n'), { code: 'UNKNOWN_MODEL', message: /"n".*"m"/ });
  directory.remove(replica, 'lost');
  assert.deepEqual(
    models.list().map(({ info }) => info.name),
    ['m'],
  );
});

test('documents for a model are kept from other encoders alone', () => {
  const directory = new FakeDirectory();
  const models = new Models(flow, directory);
  joined(directory, 'a', 'm');
  joined(directory, 'upper');
  assert.equal(models.target(models.find('m')), undefined);
  joined(directory, 'ab', 'm');
  assert.equal(models.target(models.find('m')), undefined);
  joined(directory, 'ab', 'n');
  const target = new RegExp(`^(?:${models.target(models.find('m')) ?? ''})`);
  assert.deepEqual(
    ['a', 'ab', 'upper', 'abc'].filter((name) => target.test(name)),
    ['a', 'upper', 'abc'],
  );
});
