import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { requestFromJson, responseToJson } from '../../src/document/request-json.js';
import type { DataRequest } from '../../src/document/request.js';
import { ClipflowError, toClipflowError, type ErrorData } from '../../src/errors.js';
import { failureAnswer, httpStatusOf, protocolAnswer, retryAfter } from './answer.js';
import type { HttpContext } from './app.js';

/** `POST /post` as CLIP-as-service has it, and the same with the endpoint in the path: `/encode`, `/encode/<model>`. */
export function addPostRoutes(app: FastifyInstance, context: HttpContext): void {
  app.post('/post', (request, reply) => post(context, request, reply));
  app.post('/encode', (request, reply) => post(context, request, reply, '/encode'));
  app.post<{ Params: { '*': string } }>('/encode/*', (request, reply) =>
    post(context, request, reply, `/encode/${request.params['*']}`),
  );
}

/** Errors of a request as a whole are answered by an HTTP status, those of single documents by the header's status. */
async function post(
  context: HttpContext,
  http: FastifyRequest,
  reply: FastifyReply,
  endpoint?: string,
): Promise<FastifyReply> {
  const started = performance.now();
  const { dispatch, metrics } = context;
  const request = requestFromJson(http.body);
  if (endpoint !== undefined) request.header.execEndpoint = endpoint;
  const { execEndpoint, targetExecutor } = request.header;
  const done = (code: string): void =>
    metrics.requestDone('http', dispatch.labelOf(execEndpoint), code, (performance.now() - started) / 1000);
  const caller = callerSignal(reply);
  try {
    const answer = await dispatch.post({
      endpoint: execEndpoint,
      parameters: request.parameters,
      docs: request.docs,
      targetExecutor,
      signal: caller,
    });
    const { response, failure } = protocolAnswer(request, answer);
    done(failure?.code ?? (response.header.status ? 'PARTIAL' : 'OK'));
    return failure ? sendFailure(reply, response, failure) : reply.send(responseToJson(response));
  } catch (thrown) {
    const error = toClipflowError(thrown);
    done(error.code);
    if (!(thrown instanceof ClipflowError))
      context.log.error({ event: 'request_failed', endpoint: execEndpoint, err: thrown });
    return sendFailure(reply, failureAnswer(request, error), error);
  }
}

function sendFailure(reply: FastifyReply, response: DataRequest, error: ErrorData): FastifyReply {
  const pause = retryAfter(error.code);
  if (pause !== undefined) void reply.header('retry-after', pause);
  return reply.code(httpStatusOf(error)).send(responseToJson(response));
}

/** Aborts when the caller hangs up before it has its answer. */
function callerSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
