import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import { requestFromJson, responseToJson } from '../../src/document/request-json.js';
import { httpStatusOf, retryAfter } from '../answer.js';
import { answerDataRequest } from '../data-request.js';
import type { ProtocolContext } from '../protocol-context.js';
import { originOf, requireToken } from './caller.js';

/** A route whose body is a request of CLIP-as-service's protocol. */
export interface DataRoute {
  method: HTTPMethods;
  path: string;
  /** Stands over the endpoint in the body. */
  endpoint?: string;
}

const PUBLISHED: readonly DataRoute[] = [
  { method: 'POST', path: '/post' },
  { method: 'POST', path: '/encode', endpoint: '/encode' },
  { method: 'POST', path: '/rank', endpoint: '/rank' },
  { method: 'POST', path: '/index', endpoint: '/index' },
  { method: 'POST', path: '/search', endpoint: '/search' },
  { method: 'PUT', path: '/update', endpoint: '/update' },
  { method: 'DELETE', path: '/delete', endpoint: '/delete' },
];

/** The published routes, and those that the flow exposes (`expose_endpoints`). */
export function dataRoutes({ flow }: ProtocolContext): DataRoute[] {
  const exposed = Object.entries(flow.gateway.exposeEndpoints).flatMap(([endpoint, settings]) =>
    methodsOf(settings).map((method): DataRoute => ({ method, path: endpoint, endpoint })),
  );
  const taken = new Set(PUBLISHED.map(({ method, path }) => `${method} ${path}`));
  return [...PUBLISHED, ...exposed.filter(({ method, path }) => !taken.has(`${method} ${path}`))];
}

/** Jina's settings of an exposed endpoint are FastAPI's; of these the methods count. */
function methodsOf(settings: unknown): HTTPMethods[] {
  const { methods } = (settings ?? {}) as { methods?: unknown };
  const names = Array.isArray(methods) ? methods.map((name) => String(name).toUpperCase()) : [];
  const known = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((name) => names.includes(name));
  return known.length > 0 ? known : ['POST'];
}

export function addDataRoutes(app: FastifyInstance, context: ProtocolContext): void {
  requireToken(app, context);
  for (const { method, path, endpoint } of dataRoutes(context)) {
    app.route({ method, url: path, handler: (request, reply) => post(context, request, reply, endpoint) });
  }
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
  const origin = originOf(context, http, reply);
  const { response, failure } = await answerDataRequest(context, request, { protocol: 'http', ...origin });
  if (failure) {
    const pause = retryAfter(failure.code);
    if (pause !== undefined) void reply.header('retry-after', pause);
    void reply.code(httpStatusOf(failure));
  }
  return reply.send(responseToJson(response));
}
