import type { DataRequest } from '../src/document/request.js';
import { toClipflowError } from '../src/errors.js';
import { accounted, type AccountedCall } from './accounted.js';
import { failureAnswer, protocolAnswer, type ProtocolAnswer } from './answer.js';
import { shareOf, type CallOrigin } from './call-settings.js';
import type { ProtocolContext } from './protocol-context.js';

export interface AnswerOptions extends CallOrigin {
  protocol: AccountedCall['protocol'];
  /** Wait for room in the queue instead of being refused: for streams, which are slowed down by it. */
  patient?: boolean;
}

/** Sends a request of CLIP-as-service's protocol through the flow. Never rejects: what failed is in the answer. */
export async function answerDataRequest(
  context: ProtocolContext,
  request: DataRequest,
  { protocol, ...options }: AnswerOptions,
): Promise<ProtocolAnswer> {
  const { dispatch } = context;
  const { execEndpoint: endpoint, targetExecutor } = request.header;
  const { parameters, docs } = request;
  const { caller } = options;
  const call = { protocol, endpoint: dispatch.labelOf(endpoint), caller, documents: docs.length };
  const posted = { endpoint, parameters, docs, targetExecutor, ...options, caller: shareOf(context, options) };
  try {
    return await accounted(
      context,
      call,
      async () => protocolAnswer(request, await dispatch.post(posted)),
      ({ response, failure }) => failure?.code ?? (response.header.status ? 'PARTIAL' : 'OK'),
    );
  } catch (thrown) {
    const error = toClipflowError(thrown);
    return { response: failureAnswer(request, error), failure: error.toJSON() };
  }
}
