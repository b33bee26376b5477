import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { requestFromJson, responseToJson } from '../../src/document/request-json.js';
import { httpStatusOf, retryAfter } from '../answer.js';
import { answerDataRequest } from '../data-request.js';
import type { ProtocolContext } from '../protocol-context.js';

/** `POST /post` as CLIP-as-service has it, and the same with the endpoint in the path: `/encode`, `/encode/<model>`. */
export function addPostRoutes(app: FastifyInstance, context: ProtocolContext): void {
  app.post('/post', (request, reply) => post(context, request, reply));
  app.post('/encode', (request, reply) => post(context, request, reply, '/encode'));
  app.post<{ Params: { '*': string } }>('/encode/*', (request, reply) =>
    post(context, request, reply, `/encode/${request.params['*']}`),
  );
}

/** A request that failed as a whole has an HTTP status; what failed of single documents is in the header's status. */
async function post(
  context: ProtocolContext,
  http: FastifyRequest,
  reply: FastifyReply,
  endpoint?: string,
): Promise<FastifyReply> {
  const request = requestFromJson(http.body);
  if (endpoint !== undefined) request.header.execEndpoint = endpoint;
  const { response, failure } = await answerDataRequest(context, request, { protocol: 'http', signal: callerSignal(reply) });
  if (failure) {
    const pause = retryAfter(failure.code);
    if (pause !== undefined) void reply.header('retry-after', pause);
    void reply.code(httpStatusOf(failure));
  }
  return reply.send(responseToJson(response));
}

/** Aborts when the caller hangs up before it has its answer. */
function callerSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
