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
import { ClipflowError, toClipflowError } from '../../src/errors.js';
import { PACKAGE_ROOT } from '../../src/version.js';
import { documentsOf } from '../jobs/backlog-reader.js';
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

/** A ScaledObject's metadata: what is counted, and how many documents each pod should have. */
const Metadata = z
  .object({
    executor: z.string().optional(),
    queue: z.literal('bulk').optional(),
    target_ongoing: z.coerce.number().positive().default(64),
    target_documents: z.coerce.number().positive().default(1024),
  })
  .refine(({ executor, queue }) => (executor === undefined) !== (queue === undefined), {
    error: 'expected either `executor`, the name of one, or `queue: bulk`',
  });

const Ref = z.object({ scalerMetadata: z.record(z.string(), z.string()).default({}) });

/** What a trigger scales by. */
interface Signal {
  metric: string;
  /** Documents for each pod. */
  target: number;
  /** @throws UNAVAILABLE when Redis, which knows, is away */
  now: () => Promise<{ documents: number; active: boolean }>;
}

/**
 * KEDA's external scaler, which needs no other source of metrics. An executor is active while documents wait or are
 * computed, and its metric is how many, for all gateways of the flow together. Bulk work is active while a job is neither
 * done nor paused; its metric is the documents that are left, most of which no gateway has been asked for yet.
 */
export function kedaScaler(context: ProtocolContext): UntypedServiceImplementation {
  const answer =
    <T>(make: (request: T) => object | Promise<object>) =>
    (call: ServerUnaryCall<T, object>, done: sendUnaryData<object>): void => {
      Promise.resolve(call.request)
        .then(make)
        .then(
          (made) => done(null, made),
          (thrown: unknown) => done(serviceError(toClipflowError(thrown))),
        );
    };
  const active = async (ref: unknown): Promise<boolean> => (await signalOf(context, ref).now()).active;
  return {
    IsActive: answer(async (ref) => ({ result: await active(ref) })),
    GetMetricSpec: answer((ref) => {
      const { metric, target } = signalOf(context, ref);
      const size = { targetSize: Math.max(1, Math.round(target)), targetSizeFloat: target };
      return { metricSpecs: [{ metricName: metric, ...size }] };
    }),
    GetMetrics: answer(async ({ scaledObjectRef }: { scaledObjectRef: unknown }) => {
      const { metric, now } = signalOf(context, scaledObjectRef);
      const { documents } = await now();
      return { metricValues: [{ metricName: metric, metricValue: documents, metricValueFloat: documents }] };
    }),
    StreamIsActive: (call: ServerWritableStream<unknown, object>): void => {
      let told: boolean | undefined;
      let looking = false;
      const tell = async (): Promise<void> => {
        if (looking) return;
        looking = true;
        try {
          const now = await active(call.request);
          if (now !== told && !call.cancelled) call.write({ result: now });
          told = now;
        } catch (thrown) {
          clearInterval(timer);
          if (!call.cancelled) call.emit('error', serviceError(toClipflowError(thrown)));
        } finally {
          looking = false;
        }
      };
      const timer = setInterval(() => void tell(), LOOK_MS).unref();
      call.on('cancelled', () => clearInterval(timer));
      void tell();
    },
  };
}

function signalOf({ loads, flow, jobs }: ProtocolContext, ref: unknown): Signal {
  const metadata = Metadata.safeParse(Ref.parse(ref).scalerMetadata);
  if (!metadata.success) {
    throw new ClipflowError('INVALID_REQUEST', `the trigger's metadata: ${z.prettifyError(metadata.error)}`);
  }
  const { executor, target_ongoing, target_documents } = metadata.data;
  if (executor === undefined) {
    if (!jobs) throw new ClipflowError('INVALID_REQUEST', 'the flow serves no bulk jobs: with.redis is not set');
    const now = async () => {
      const backlog = await jobs.backlog.read();
      return { documents: documentsOf(backlog), active: backlog.jobs > 0 };
    };
    return { metric: 'clipflow-bulk-documents', target: target_documents, now };
  }
  const ongoing = (): number | undefined => {
    const load = loads.totals().find((one) => one.executor === executor);
    return load && load.queued + load.running;
  };
  if (ongoing() === undefined) {
    const known = flow.executors.map(({ name }) => name).join(', ');
    throw new ClipflowError('INVALID_REQUEST', `the flow has no executor "${executor}"; it has: ${known}`);
  }
  const now = async () => {
    const documents = ongoing() ?? 0;
    return { documents, active: documents > 0 };
  };
  return { metric: `clipflow-ongoing-documents-${executor}`, target: target_ongoing, now };
}
