import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FlowProcess, type ReplicaEntry } from '../support/flow-process.js';
import { NatsServer } from '../support/nats-server.js';
import { Load } from '../support/load.js';

async function killReplicas(flow: FlowProcess, rounds: number): Promise<Load> {
  const load = new Load(flow, 8);
  await load.untilAnswered(20);
  for (let round = 0; round < rounds; round++) {
    const [victim] = (await flow.replicas('clip')).filter(({ state }) => state === 'ready');
    assert.ok(victim);
    const from = flow.events.length;
    process.kill(victim.pid, 'SIGKILL');
    await flow.event(
      (event) => event.event === 'replica_state' && event.replica === victim.id && event.state === 'lost',
      from,
    );
    await flow.event((event) => event.event === 'replica_ready', from);
    await load.untilAnswered(20);
  }
  await load.stop();
  return load;
}

function ready(replicas: readonly ReplicaEntry[]): number {
  return replicas.filter(({ state }) => state === 'ready').length;
}

describe('kill -9 on replicas under load', () => {
  test('embedded: no request fails, and the replica is back', async (t) => {
    await using flow = await FlowProcess.start();
    const load = await killReplicas(flow, 2);
    t.diagnostic(`${load.answered} answered, ${load.failures.length} failed`);
    assert.deepEqual(load.failures, []);
    assert.equal(ready(await flow.replicas('clip')), 2);
  });

  test('NATS: no request fails, and the replica is back', async (t) => {
    await using nats = await NatsServer.start();
    await using flow = await FlowProcess.start({ env: { CLIPFLOW_TRANSPORT: nats.address } });
    const load = await killReplicas(flow, 2);
    t.diagnostic(`${load.answered} answered, ${load.failures.length} failed`);
    assert.deepEqual(load.failures, []);
    assert.equal(ready(await flow.replicas('clip')), 2);
  });

  test('NATS restarted under load: no request fails', async (t) => {
    await using nats = await NatsServer.start();
    await using flow = await FlowProcess.start({ env: { CLIPFLOW_TRANSPORT: nats.address } });
    const load = new Load(flow, 8);
    await load.untilAnswered(20);
    for (let round = 0; round < 2; round++) {
      await nats.stop();
      await nats.start();
      await load.untilAnswered(20);
    }
    await load.stop();
    t.diagnostic(`${load.answered} answered, ${load.failures.length} failed`);
    assert.deepEqual(load.failures, []);
  });
});
