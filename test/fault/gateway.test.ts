import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FlowProcess } from '../support/flow-process.js';
import { Load } from '../support/load.js';
import { NatsServer } from '../support/nats-server.js';
import { freePort } from '../support/ports.js';

async function killGateway(transport: string): Promise<Load> {
  // A port of its choice would be another one after the restart.
  const args = ['--port', String(await freePort())];
  await using flow = await FlowProcess.start({ args, env: { CLIPFLOW_TRANSPORT: transport } });
  const pids = async (): Promise<number[]> => (await flow.untilReady('clip', 2)).map(({ pid }) => pid).sort();
  const before = await pids();
  const load = new Load(flow, 8, { reconnects: true });
  await load.untilAnswered(20);
  const { jina } = (await (await fetch(`${flow.url}/status`)).json()) as { jina: { pid: string } };
  const from = flow.events.length;
  process.kill(Number(jina.pid), 'SIGKILL');
  await flow.event(({ event }) => event === 'gateway_listening', from);
  await load.untilAnswered(40);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.ok(load.reconnected > 0, 'calls were under way');
  assert.deepEqual(await pids(), before, 'the replicas stayed');
  return load;
}

describe('kill -9 on the gateway under load: callers who connect again are answered by the same replicas', () => {
  test('embedded', async (t) => {
    const { answered, reconnected } = await killGateway('embedded');
    t.diagnostic(`${answered} answered, ${reconnected} connected again`);
  });

  test('NATS', async (t) => {
    await using nats = await NatsServer.start();
    const { answered, reconnected } = await killGateway(nats.address);
    t.diagnostic(`${answered} answered, ${reconnected} connected again`);
  });
});
