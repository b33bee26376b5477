import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { credentials, loadPackageDefinition, status, type Client, type ClientReadableStream } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { FlowProcess, ROOT } from '../support/flow-process.js';
import { NatsServer } from '../support/nats-server.js';
import { askOften, pacedFlow } from '../support/paced-flow.js';
import { SecondGateway } from '../support/second-gateway.js';
import { within } from '../support/until.js';

interface Ref {
  name: string;
  namespace: string;
  scalerMetadata: Record<string, string>;
}

/** As KEDA calls it. */
class Keda implements Disposable {
  readonly #client: Client;

  constructor(url: string) {
    const proto = loadSync(join(ROOT, 'gateway/grpc/proto/externalscaler.proto'), { keepCase: true, longs: Number });
    const { externalscaler } = loadPackageDefinition(proto) as unknown as {
      externalscaler: { ExternalScaler: new (...args: unknown[]) => Client };
    };
    this.#client = new externalscaler.ExternalScaler(new URL(url).host, credentials.createInsecure());
  }

  call<T>(method: string, request: object): Promise<T> {
    type Method = (request: object, done: (error: Error | null, answer: T) => void) => void;
    const unary = (Reflect.get(this.#client, method) as Method).bind(this.#client);
    return new Promise((resolve, reject) =>
      unary(request, (error, answer) => (error ? reject(error) : resolve(answer))),
    );
  }

  stream(ref: Ref): ClientReadableStream<{ result: boolean }> {
    type Method = (ref: Ref) => ClientReadableStream<{ result: boolean }>;
    return (Reflect.get(this.#client, 'StreamIsActive') as Method).call(this.#client, ref);
  }

  async ongoing(ref: Ref): Promise<number> {
    const { metricValues } = await this.call<{ metricValues: { metricName: string; metricValueFloat: number }[] }>(
      'GetMetrics',
      { scaledObjectRef: ref, metricName: 'clipflow-ongoing-documents-paced' },
    );
    assert.equal(metricValues[0]?.metricName, 'clipflow-ongoing-documents-paced');
    return metricValues[0].metricValueFloat;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

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
    const ongoing = await keda.ongoing(REF);
    assert.ok(ongoing > 0 && ongoing <= 40, `${ongoing}`);
    await load;
    assert.deepEqual((await within(once(stream, 'data'), 'inactive'))[0], { result: false });
    assert.equal(await keda.ongoing(REF), 0);
    stream.cancel();
  });

  test('answers for all gateways of the flow', async () => {
    await using nats = await NatsServer.start();
    await using flow = await FlowProcess.start({ text: FLOW, args: ['--transport', nats.address] });
    await using second = await SecondGateway.start(FLOW, nats.address);
    using keda = new Keda(second.url);
    const load = askOften(flow.url, { count: 20, inFlight: 10, docs: 8 });
    const heard = async (): Promise<void> => {
      while ((await keda.ongoing(REF)) < 8) await delay(20);
    };
    await within(heard(), "the other gateway's load");
    await load;
  });

  test('says what is wrong with a trigger', async () => {
    await using flow = await FlowProcess.start({ text: FLOW });
    using keda = new Keda(flow.url);
    for (const [metadata, reason] of [
      [{ executor: 'pacd' }, /no executor "pacd"; it has: paced/],
      [{}, /the trigger's metadata/],
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
