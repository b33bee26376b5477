import type { DataRequest } from '../src/document/request.js';
import { toClipflowError } from '../src/errors.js';
import { failureAnswer, protocolAnswer, type ProtocolAnswer } from './answer.js';
import type { ProtocolContext } from './protocol-context.js';

export interface AnswerOptions {
  protocol: 'grpc' | 'http' | 'websocket';
  signal: AbortSignal;
  timeoutMs?: number | undefined;
  /** Wait for room in the queue instead of being refused: for streams, which are slowed down by it. */
  patient?: boolean;
}

/** Sends a request of CLIP-as-service's protocol through the flow. Never rejects: what failed is in the answer. */
export async function answerDataRequest(
  { dispatch, metrics, log }: ProtocolContext,
  request: DataRequest,
  { protocol, ...options }: AnswerOptions,
): Promise<ProtocolAnswer> {
  const started = performance.now();
  const { execEndpoint: endpoint, targetExecutor } = request.header;
  const done = (code: string): void =>
    metrics.requestDone(protocol, dispatch.labelOf(endpoint), code, (performance.now() - started) / 1000);
  try {
    const { parameters, docs } = request;
    const answer = protocolAnswer(request, await dispatch.post({ endpoint, parameters, docs, targetExecutor, ...options }));
    done(answer.failure?.code ?? (answer.response.header.status ? 'PARTIAL' : 'OK'));
    return answer;
  } catch (thrown) {
    const error = toClipflowError(thrown);
    if (error.code === 'INTERNAL') log.error({ event: 'request_failed', protocol, endpoint, err: thrown });
    done(error.code);
    return { response: failureAnswer(request, error), failure: error.toJSON() };
  }
}
