import { join } from 'node:path';
import type {
  sendUnaryData,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { z } from 'zod';
import type { ExecutorLoad } from '../../src/autoscale/load.js';
import { ClipflowError, toClipflowError } from '../../src/errors.js';
import { PACKAGE_ROOT } from '../../src/version.js';
import type { ProtocolContext } from '../protocol-context.js';
import { serviceError } from './data-service.js';

export const KEDA_PROTO = loadSync('externalscaler.proto', {
  includeDirs: [join(PACKAGE_ROOT, 'gateway', 'grpc', 'proto')],
  keepCase: true,
  longs: Number,
});

export const KEDA_SERVICE = KEDA_PROTO['externalscaler.ExternalScaler'] as ServiceDefinition;

/** Between two looks at whether something waits for an executor at zero. */
const LOOK_MS = 250;

/** A ScaledObject's metadata: which executor, and how many documents each pod should have. */
const Metadata = z.object({
  executor: z.string(),
  target_ongoing: z.coerce.number().positive().default(64),
});

const Ref = z.object({ scalerMetadata: z.record(z.string(), z.string()).default({}) });

/**
 * KEDA's external scaler: an executor is active while documents wait or are computed, and its metric is how many, for all
 * gateways of the flow together. KEDA needs no other source of metrics.
 */
export function kedaScaler({ loads, flow }: ProtocolContext): UntypedServiceImplementation {
  const read = (ref: unknown): { load: ExecutorLoad; target: number } => {
    const metadata = Metadata.safeParse(Ref.parse(ref).scalerMetadata);
    if (!metadata.success) {
      throw new ClipflowError('INVALID_REQUEST', `the trigger's metadata: ${z.prettifyError(metadata.error)}`);
    }
    const { executor, target_ongoing: target } = metadata.data;
    const load = loads.totals().find((one) => one.executor === executor);
    if (load) return { load, target };
    const known = flow.executors.map(({ name }) => name).join(', ');
    throw new ClipflowError('INVALID_REQUEST', `the flow has no executor "${executor}"; it has: ${known}`);
  };
  const answer =
    <T>(make: (request: T) => object) =>
    (call: ServerUnaryCall<T, object>, done: sendUnaryData<object>): void => {
      try {
        done(null, make(call.request));
      } catch (thrown) {
        done(serviceError(toClipflowError(thrown)));
      }
    };
  const active = (ref: unknown): boolean => ongoing(read(ref).load) > 0;
  return {
    IsActive: answer((ref) => ({ result: active(ref) })),
    GetMetricSpec: answer((ref) => {
      const { load, target } = read(ref);
      const size = { targetSize: Math.max(1, Math.round(target)), targetSizeFloat: target };
      return { metricSpecs: [{ metricName: metricName(load), ...size }] };
    }),
    GetMetrics: answer(({ scaledObjectRef }: { scaledObjectRef: unknown }) => {
      const { load } = read(scaledObjectRef);
      const value = ongoing(load);
      return { metricValues: [{ metricName: metricName(load), metricValue: value, metricValueFloat: value }] };
    }),
    StreamIsActive: (call: ServerWritableStream<unknown, object>): void => {
      let told: boolean | undefined;
      const tell = (): void => {
        try {
          const now = active(call.request);
          if (now !== told) call.write({ result: now });
          told = now;
        } catch (thrown) {
          clearInterval(timer);
          call.emit('error', serviceError(toClipflowError(thrown)));
        }
      };
      const timer = setInterval(tell, LOOK_MS).unref();
      call.on('cancelled', () => clearInterval(timer));
      tell();
    },
  };
}

function ongoing({ queued, running }: ExecutorLoad): number {
  return queued + running;
}

function metricName({ executor }: ExecutorLoad): string {
  return `clipflow-ongoing-documents-${executor}`;
}
