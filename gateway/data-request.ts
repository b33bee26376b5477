import type { DataRequest } from '../src/document/request.js';
import { ClipflowError, toClipflowError } from '../src/errors.js';
import type { Caller } from './auth/tokens.js';
import { failureAnswer, protocolAnswer, type ProtocolAnswer } from './answer.js';
import type { Priority } from './dispatch/item.js';
import type { ProtocolContext } from './protocol-context.js';

export interface AnswerOptions {
  protocol: 'grpc' | 'http' | 'websocket';
  caller: Caller;
  /** The connection: callers have equal shares by token, or by connection where there are no tokens. */
  peer: string;
  /** @default interactive */
  priority?: Priority;
  signal: AbortSignal;
  timeoutMs?: number | undefined;
  /** Wait for room in the queue instead of being refused: for streams, which are slowed down by it. */
  patient?: boolean;
}

/** Sends a request of CLIP-as-service's protocol through the flow. Never rejects: what failed is in the answer. */
export async function answerDataRequest(
  { dispatch, metrics, tokens, log }: ProtocolContext,
  request: DataRequest,
  { protocol, caller, peer, ...options }: AnswerOptions,
): Promise<ProtocolAnswer> {
  const started = performance.now();
  const { execEndpoint: endpoint, targetExecutor } = request.header;
  const done = (code: string): void =>
    metrics.requestDone(protocol, dispatch.labelOf(endpoint), code, (performance.now() - started) / 1000);
  const { parameters, docs } = request;
  caller.documents += docs.length;
  try {
    checkQuota(caller, docs.length);
    const share = tokens.required ? caller.name : peer;
    const posted = { endpoint, parameters, docs, targetExecutor, caller: share, ...options };
    const answer = protocolAnswer(request, await dispatch.post(posted));
    done(answer.failure?.code ?? (answer.response.header.status ? 'PARTIAL' : 'OK'));
    return answer;
  } catch (thrown) {
    const error = toClipflowError(thrown);
    if (error.code === 'INTERNAL') log.error({ event: 'request_failed', protocol, endpoint, err: thrown });
    done(error.code);
    return { response: failureAnswer(request, error), failure: error.toJSON() };
  } finally {
    caller.documents -= docs.length;
  }
}

/** A request larger than the whole quota passes when the caller has nothing else under way: else it never could. */
function checkQuota({ name, documents, maxDocuments }: Caller, added: number): void {
  if (documents <= maxDocuments || documents === added) return;
  throw new ClipflowError('OVERLOADED', `${name} has ${documents} documents under way, and may have ${maxDocuments}`);
}
