import { ClipflowError, toClipflowError } from '../src/errors.js';
import type { Caller } from './auth/tokens.js';
import type { ProtocolContext } from './protocol-context.js';

/** One call of a protocol, as quotas and metrics see it. */
export interface AccountedCall {
  protocol: 'grpc' | 'http' | 'websocket' | 'openai';
  /** For metrics: one of few. */
  endpoint: string;
  caller: Caller;
  documents: number;
}

/**
 * Runs a call within its caller's quota, and counts it.
 * @param codeOf what the metrics say of a result
 * @throws OVERLOADED when the caller has too much under way; what `run` throws, as a ClipflowError
 */
export async function accounted<T>(
  { metrics, log }: ProtocolContext,
  { protocol, endpoint, caller, documents }: AccountedCall,
  run: () => Promise<T>,
  codeOf: (result: T) => string = () => 'OK',
): Promise<T> {
  const started = performance.now();
  const done = (code: string): void =>
    metrics.requestDone(protocol, endpoint, code, (performance.now() - started) / 1000);
  caller.documents += documents;
  try {
    checkQuota(caller, documents);
    const result = await run();
    done(codeOf(result));
    return result;
  } catch (thrown) {
    const error = toClipflowError(thrown);
    if (error.code === 'INTERNAL') log.error({ event: 'request_failed', protocol, endpoint, err: thrown });
    done(error.code);
    throw error;
  } finally {
    caller.documents -= documents;
  }
}

/** A request larger than the whole quota passes when the caller has nothing else under way: else it never could. */
function checkQuota({ name, documents, maxDocuments }: Caller, added: number): void {
  if (documents <= maxDocuments || documents === added) return;
  throw new ClipflowError('OVERLOADED', `${name} has ${documents} documents under way, and may have ${maxDocuments}`);
}
