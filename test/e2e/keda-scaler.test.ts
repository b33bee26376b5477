import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { FlowProcess } from '../support/flow-process.js';
import { Keda, type Ref } from '../support/keda.js';
import { NatsServer } from '../support/nats-server.js';
import { askOften, pacedFlow } from '../support/paced-flow.js';
import { SecondGateway } from '../support/second-gateway.js';
import { within } from '../support/until.js';

const REF: Ref = { name: 'clip', namespace: 'default', scalerMetadata: { executor: 'paced', target_ongoing: '8' } };
const FLOW = pacedFlow('{ ms: [100] }', 'replicas: 1');

describe("KEDA's external scaler", () => {
  test('is active while documents wait, and tells how many; it ends when they are answered', async () => {
    await using flow = await FlowProcess.start({ text: FLOW });
    using keda = new Keda(flow.url);
    assert.deepEqual(await keda.call('IsActive', REF), { result: false });
    assert.deepEqual(await keda.call('GetMetricSpec', REF), {
      metricSpecs: [{ metricName: 'clipflow-ongoing-documents-paced', targetSize: 8, targetSizeFloat: 8 }],
    });
    const stream = keda.stream(REF);
    stream.on('error', () => {});
    assert.deepEqual((await within(once(stream, 'data'), 'the first state'))[0], { result: false });
    const load = askOften(flow.url, { count: 5, inFlight: 5, docs: 8 });
    assert.deepEqual((await within(once(stream, 'data'), 'active'))[0], { result: true });
    const ongoing = await keda.documents(REF);
    assert.ok(ongoing > 0 && ongoing <= 40, `${ongoing}`);
    await load;
    assert.deepEqual((await within(once(stream, 'data'), 'inactive'))[0], { result: false });
    assert.equal(await keda.documents(REF), 0);
    stream.cancel();
  });

  test('answers for all gateways of the flow', async () => {
    await using nats = await NatsServer.start();
    await using flow = await FlowProcess.start({ text: FLOW, args: ['--transport', nats.address] });
    await using second = await SecondGateway.start(FLOW, nats.address);
    using keda = new Keda(second.url);
    const load = askOften(flow.url, { count: 20, inFlight: 10, docs: 8 });
    const heard = async (): Promise<void> => {
      while ((await keda.documents(REF)) < 8) await delay(20);
    };
    await within(heard(), "the other gateway's load");
    await load;
  });

  test('says what is wrong with a trigger', async () => {
    await using flow = await FlowProcess.start({ text: FLOW });
    using keda = new Keda(flow.url);
    for (const [metadata, reason] of [
      [{ executor: 'pacd' }, /no executor "pacd"; it has: paced/],
      [{}, /the trigger's metadata.*either `executor`, the name of one, or `queue: bulk`/s],
      [{ executor: 'paced', queue: 'bulk' }, /the trigger's metadata/],
      [{ queue: 'bulk' }, /no bulk jobs: with\.redis is not set/],
      [{ executor: 'paced', target_ongoing: 'many' }, /the trigger's metadata/],
    ] as const) {
      await assert.rejects(keda.call('IsActive', { ...REF, scalerMetadata: metadata }), (error) => {
        assert.equal((error as { code: number }).code, status.INVALID_ARGUMENT);
        assert.match((error as Error).message, reason);
        return true;
      });
    }
  });
});
