import assert from 'node:assert/strict';
import { join } from 'node:path';
import { credentials, loadPackageDefinition, type Client, type ClientReadableStream } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ROOT } from './flow-process.js';

export interface Ref {
  name: string;
  namespace: string;
  scalerMetadata: Record<string, string>;
}

/** As KEDA calls it. */
export class Keda implements Disposable {
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

  /** The metric of the trigger, as its own spec names it. */
  async documents(ref: Ref): Promise<number> {
    const { metricSpecs } = await this.call<{ metricSpecs: { metricName: string }[] }>('GetMetricSpec', ref);
    const metricName = metricSpecs[0]?.metricName;
    const { metricValues } = await this.call<{ metricValues: { metricName: string; metricValueFloat: number }[] }>(
      'GetMetrics',
      { scaledObjectRef: ref, metricName },
    );
    assert.equal(metricValues[0]?.metricName, metricName);
    return metricValues[0]?.metricValueFloat ?? NaN;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}
