import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { status as GrpcStatus } from '@grpc/grpc-js';
import { type sendUnaryData, type ServerDuplexStream, type ServerUnaryCall, type ServiceError } from '@grpc/grpc-js';
import { abortSignalOf, Cancellation, type CancelSignal } from '../../src/cancel.js';
import { decodeDataRequest, encodeDataRequest } from '../../src/document/request.js';
import { ClipflowError, ERRORS, toClipflowError } from '../../src/errors.js';
import type { ProtocolAnswer } from '../answer.js';
import { callSettings } from '../call-settings.js';
import { answerDataRequest } from '../data-request.js';
import { OrderedAnswers } from '../ordered.js';
import type { ProtocolContext } from '../protocol-context.js';

const LINGER_MS = 200;
const DRAIN_IDLE_MS = 1000;
const DRAIN_LOOK_MS = 100;

type StreamCall = ServerDuplexStream<Buffer, Buffer>;
type UnaryCall = ServerUnaryCall<Buffer, Buffer>;

/** `JinaRPC.Call`: a stream of requests, answered in their order. */
export async function callStream(context: ProtocolContext, call: StreamCall): Promise<void> {
  const gone = cancellationOf(call);
  const signal = abortSignalOf(gone);
  const answers = new OrderedAnswers(context.flow.gateway.prefetch, (answer: ProtocolAnswer) =>
    write(call, answer, signal),
  );
  const serve = async (): Promise<void> => {
    const from = settingsOf(context, call);
    for await (const bytes of call.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      await answers.push(answer(context, call, from, bytes, gone));
      if (signal.aborted) return;
    }
    await answers.end();
    call.end();
  };
  const over = new AbortController();
  try {
    await Promise.race([serve(), answers.failure, idleWhileDraining(context.drain, answers, over.signal)]);
  } catch (thrown) {
    await inputEnded(call, signal);
    if (!signal.aborted) call.emit('error', serviceError(toClipflowError(thrown)));
  } finally {
    over.abort();
  }
}

/**
 * Resolves when the caller has sent its last request, or after a moment. A status that reaches gRPC's Python client while
 * it is still sending may be lost to it: it then reports an internal error of its own (seen in 1 of 60 calls).
 */
async function inputEnded(call: StreamCall, signal: AbortSignal): Promise<void> {
  if (call.readableEnded || signal.aborted) return;
  call.resume();
  const over = new AbortController();
  const either = { signal: AbortSignal.any([signal, over.signal]) };
  await Promise.race([once(call, 'end', either), delay(LINGER_MS, undefined, either)]).catch(() => {});
  over.abort();
}

/**
 * Rejects with UNAVAILABLE once the gateway drains and the caller has sent nothing for a while: a stream that nobody
 * ends must not hold up the gateway.
 */
async function idleWhileDraining(
  drain: AbortSignal,
  answers: { readonly underWay: number },
  over: AbortSignal,
): Promise<never> {
  if (!drain.aborted) await once(drain, 'abort', { signal: over });
  for (let idle = 0; idle < DRAIN_IDLE_MS; idle += DRAIN_LOOK_MS) {
    if (answers.underWay > 0) idle = 0;
    await delay(DRAIN_LOOK_MS, undefined, { signal: over });
  }
  throw new ClipflowError('UNAVAILABLE', 'the gateway is stopping: open another stream');
}

/** `JinaSingleDataRequestRPC.process_single_data`: one request, one answer. */
export async function callOnce(context: ProtocolContext, call: UnaryCall, done: sendUnaryData<Buffer>): Promise<void> {
  try {
    const gone = cancellationOf(call);
    done(null, encode(await answer(context, call, settingsOf(context, call), call.request, gone)));
  } catch (thrown) {
    done(serviceError(toClipflowError(thrown)));
  }
}

async function answer(
  context: ProtocolContext,
  call: StreamCall | UnaryCall,
  { timeoutMs: wished = Infinity, ...from }: ReturnType<typeof settingsOf>,
  bytes: Buffer,
  signal: CancelSignal,
): Promise<ProtocolAnswer> {
  const timeoutMs = Math.min(wished, Number(call.getDeadline()) - Date.now());
  return answerDataRequest(context, decodeDataRequest(bytes), {
    protocol: 'grpc',
    ...from,
    signal,
    patient: true,
    ...(Number.isFinite(timeoutMs) ? { timeoutMs } : {}),
  });
}

async function write(call: StreamCall, answered: ProtocolAnswer, signal: AbortSignal): Promise<void> {
  const roomLeft = call.write(encode(answered));
  if (!roomLeft) await once(call, 'drain', { signal });
}

/**
 * What the caller did wrong is a message with a status, on which clip-client calls `on_error`. When the flow cannot
 * answer there is no message, only the status of gRPC: clip-client trips over an answer without its documents.
 */
function encode({ response, failure }: ProtocolAnswer): Buffer {
  if (failure && ERRORS[failure.code].http >= 429) throw ClipflowError.fromData(failure);
  return encodeDataRequest(response);
}

/** Who calls, and what the metadata says: once for all requests of a stream. */
function settingsOf({ tokens }: ProtocolContext, call: StreamCall | UnaryCall) {
  const metadata = (name: string): string | undefined => call.metadata.get(name)[0]?.toString();
  return { caller: tokens.check(metadata('authorization')), peer: call.getPeer(), ...callSettings(metadata) };
}

/** grpc-js says `cancelled` of calls that were answered too: nobody listens any more by then. */
function cancellationOf(call: StreamCall | UnaryCall): Cancellation {
  const gone = new Cancellation();
  call.once('cancelled', () => gone.abort());
  return gone;
}

export function serviceError(error: ClipflowError): Partial<ServiceError> {
  const code: GrpcStatus = ERRORS[error.code].grpc;
  return { code, details: `${error.code}: ${error.message}` };
}
