import { peek } from '../src/document/peek.js';
import type { DataRequest, RequestHeader } from '../src/document/request.js';
import type { Status } from '../src/document/status.js';
import { ERRORS, type ErrorCode, type ErrorData } from '../src/errors.js';
import type { FlowAnswer } from './dispatch/flow-dispatch.js';

/** Errors that are about one document: the request as a whole was served. */
const OF_A_DOCUMENT: readonly ErrorCode[] = [
  'INVALID_DOCUMENT',
  'PAYLOAD_TOO_LARGE',
  'URI_FORBIDDEN',
  'URI_UNREACHABLE',
  'DOCUMENT_KILLS',
  'EXECUTOR_FAILED',
];

/** What a caller of CLIP-as-service's protocol gets: the documents, and a status when some or all of them failed. */
export interface ProtocolAnswer {
  response: DataRequest;
  /** Set when the request as a whole failed: what its protocol's own status should say. */
  failure?: ErrorData;
}

/** Failed documents come back as they were sent; the status names the first of them and counts the others. */
export function protocolAnswer(request: DataRequest, { outcomes, routes }: FlowAnswer): ProtocolAnswer {
  const docs = outcomes.map((outcome, index) =>
    'doc' in outcome ? outcome.doc : (request.docs[index] ?? new Uint8Array()),
  );
  const response: DataRequest = { ...request, header: answerHeader(request), routes, docs };
  const failed = outcomes.flatMap((outcome, index) => ('error' in outcome ? [{ index, error: outcome.error }] : []));
  const [first] = failed;
  if (!first) return { response };
  const id = peek(request.docs[first.index] ?? new Uint8Array()).id;
  const more = failed.length > 1 ? ` (and ${failed.length - 1} more of ${outcomes.length} documents failed)` : '';
  const status = statusOf(first.error, `document ${first.index} (id ${id}): ${first.error.message}${more}`, failed);
  response.header.status = status;
  const last = routes.at(-1);
  if (last && routes.length > 1) response.routes = [...routes.slice(0, -1), { ...last, status }];
  const whole = failed.length === outcomes.length && !OF_A_DOCUMENT.includes(first.error.code);
  return whole ? { response, failure: first.error } : { response };
}

/** The answer to a request that failed as a whole, its documents as they were sent. */
export function failureAnswer(request: DataRequest, error: ErrorData): DataRequest {
  return { ...request, header: { ...answerHeader(request), status: statusOf(error, error.message) }, routes: [] };
}

/** The target is not echoed, as published. */
function answerHeader({ header }: DataRequest): RequestHeader {
  const { requestId, execEndpoint, status, timeout } = header;
  return {
    requestId,
    execEndpoint,
    targetExecutor: '',
    ...(status && { status }),
    ...(timeout !== undefined && { timeout }),
  };
}

function statusOf(error: ErrorData, text: string, failed: readonly { index: number; error: ErrorData }[] = []): Status {
  const args = failed.length > 0 ? failed.map((one) => `document ${one.index}: ${one.error.message}`) : [error.message];
  return {
    code: 1,
    description: `${error.code}: ${text}`,
    exception: { name: error.code, args, stacks: [], executor: '' },
  };
}

/** Seconds after which a caller may try again, where that makes sense. */
export function retryAfter(code: ErrorCode): number | undefined {
  return code === 'OVERLOADED' || code === 'UNAVAILABLE' ? 1 : undefined;
}

export function httpStatusOf(error: ErrorData): number {
  return ERRORS[error.code].http;
}
