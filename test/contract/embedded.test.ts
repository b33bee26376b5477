import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ClipflowError } from '../../src/errors.js';
import { EmbeddedTransport } from '../../src/transport/embedded.js';
import type { Registration, StaticInfo } from '../../src/transport/transport.js';
import { replicaWhere, within } from '../support/until.js';
import { transportContract, type TransportHarness } from './transport-contract.js';

async function embedded(): Promise<TransportHarness> {
  const folder = await mkdtemp(join(tmpdir(), 'clipflow-test-'));
  return {
    address: `embedded:${join(folder, 'gateway.sock')}`,
    stop: () => rm(folder, { recursive: true }),
  };
}

transportContract('embedded', embedded, { severalGateways: false });

const info: StaticInfo = {
  id: 'r',
  executor: 'echo',
  shard: 0,
  pid: process.pid,
  host: 'here',
  state: 'ready',
  endpoints: ['/default'],
  models: [],
  batchSize: 1,
  credit: 1,
};

function register(transport: EmbeddedTransport): Promise<Registration> {
  return transport.register(
    info,
    async (message) => message,
    () => 0,
  );
}

test('replicas outlive their gateway and come back to the next one', async () => {
  const { address, stop } = await embedded();
  const path = address.slice('embedded:'.length);
  const first = new EmbeddedTransport(path);
  const replicaSide = new EmbeddedTransport(path);
  const [directory] = await Promise.all([first.watch(), register(replicaSide)]);
  await replicaWhere(directory, ({ info: { id } }) => id === 'r');
  await first.close();
  const second = new EmbeddedTransport(path);
  const replica = await replicaWhere(await second.watch(), ({ info: { id } }) => id === 'r');
  assert.deepEqual(await replica.call({ header: { again: true }, parts: [] }), { header: { again: true }, parts: [] });
  await replicaSide.close();
  await second.close();
  await stop();
});

test('a replica drains although its gateway hangs up at the same moment, with what it had to say unread', async () => {
  const { address, stop } = await embedded();
  const path = address.slice('embedded:'.length);
  for (let round = 0; round < 20; round++) {
    const gateway = new EmbeddedTransport(path);
    const replicaSide = new EmbeddedTransport(path);
    const [directory, registration] = await Promise.all([gateway.watch(), register(replicaSide)]);
    await replicaWhere(directory, ({ info: { id } }) => id === 'r');
    const drained = registration.drain();
    await Promise.all([within(drained, 'the replica to drain'), gateway.close()]);
    await replicaSide.close();
  }
  await stop();
});

test('a second gateway on the same socket is refused while the first one lives', async () => {
  const { address, stop } = await embedded();
  const path = address.slice('embedded:'.length);
  const first = new EmbeddedTransport(path);
  await first.watch();
  const second = new EmbeddedTransport(path);
  await assert.rejects(second.watch(), (error) => error instanceof ClipflowError && error.code === 'INVALID_CONFIG');
  await first.close();
  await stop();
});
