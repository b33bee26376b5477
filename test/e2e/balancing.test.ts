import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { FlowProcess } from '../support/flow-process.js';
import { NatsServer } from '../support/nats-server.js';
import { askOften, pacedFlow, shares } from '../support/paced-flow.js';
import { SecondGateway } from '../support/second-gateway.js';

async function unequal(t: TestContext, transport: string): Promise<void> {
  // Long enough for the way to and from a replica not to count, where others take the processor.
  const pace = '{ ms: [50, 100] }';
  await using flow = await FlowProcess.start({ text: pacedFlow(pace), args: ['--transport', transport] });
  const { pids } = await askOften(flow.url, { count: 100, inFlight: 16, docs: 4 });
  const [slow = 0, quick = 0] = shares(pids);
  t.diagnostic(`${quick} documents by the quick replica, ${slow} by the one of half its speed`);
  assert.equal(slow + quick, 400);
  assert.ok(quick / slow > 1.5 && quick / slow < 2.7, `${quick} : ${slow}`);
}

describe('a replica of half the speed gets half the work', () => {
  test('embedded', (t) => unequal(t, 'embedded'));

  test('NATS', async (t) => {
    await using nats = await NatsServer.start();
    await unequal(t, nats.address);
  });
});

describe('two gateways over the same replicas', () => {
  const FLOW = pacedFlow('{ ms: [10] }', 'replicas: 3');

  test('spread their work evenly', async (t) => {
    await using nats = await NatsServer.start();
    await using flow = await FlowProcess.start({ text: FLOW, args: ['--transport', nats.address] });
    await using second = await SecondGateway.start(FLOW, nats.address);
    const load = { count: 150, inFlight: 6, docs: 4 };
    const both = await Promise.all([askOften(flow.url, load), askOften(second.url, load)]);
    const counts = shares(both.flatMap(({ pids }) => pids));
    t.diagnostic(`documents by replica: ${counts.join(', ')}`);
    assert.equal(counts.length, 3);
    assert.ok((counts[2] ?? Infinity) / (counts[0] ?? 0) < 1.5, counts.join(', '));
  });
});

describe('hedging', () => {
  // Of the first replica's batches each 100th takes 3 s more: beyond the 99th percentile of all, which by then is known,
  // and three times of which is less even where others take the processor.
  const SETTINGS = '{ ms: [5], stall_every: 100, stall_ms: 3000 }';
  const LOAD = { count: 400, inFlight: 2, docs: 1 };

  test('bounds what a replica that stalls at times costs; each document is answered once', async (t) => {
    const run = async (executor: string): Promise<{ slowest: number; metrics: string }> => {
      await using flow = await FlowProcess.start({ text: pacedFlow(SETTINGS, executor) });
      const { latenciesMs, pids } = await askOften(flow.url, LOAD);
      assert.equal(pids.length, LOAD.count);
      return { slowest: Math.max(...latenciesMs), metrics: await (await fetch(`${flow.url}/metrics`)).text() };
    };
    const without = await run('replicas: 2');
    const hedged = await run('replicas: 2, hedge: 3');
    t.diagnostic(`slowest: ${Math.round(without.slowest)} ms, hedged ${Math.round(hedged.slowest)} ms`);
    // A request that a stall holds takes 3 s unless another replica answers it.
    assert.ok(without.slowest >= 3000);
    assert.ok(hedged.slowest < 3000, `${hedged.slowest} ms`);
    const won = Number(/^clipflow_hedges_won_total\{executor="paced"\} (\d+)$/m.exec(hedged.metrics)?.[1]);
    const sent = Number(/^clipflow_hedges_total\{executor="paced"\} (\d+)$/m.exec(hedged.metrics)?.[1]);
    assert.ok(won >= 1 && sent >= won && sent <= 0.05 * LOAD.count + 5, `${won} won of ${sent}`);
  });
});
