import cors from '@fastify/cors';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { ValidationError } from '../../src/document/validation-error.js';
import { toClipflowError, type ClipflowError } from '../../src/errors.js';
import type { Logger } from '../../src/telemetry/log.js';
import { about } from '../about.js';
import { dryRun } from '../dry-run.js';
import { httpStatusOf, retryAfter } from '../answer.js';
import type { ProtocolContext } from '../protocol-context.js';
import type { TlsOptions } from '../tls.js';
import { parseBodiesAsJson } from './body.js';
import { openApi } from './openapi.js';
import { addDataRoutes } from './post.js';

export interface HttpOptions {
  tls?: TlsOptions | undefined;
  /** Serve documents too, not only health, status and metrics. */
  data: boolean;
}

/** The HTTP protocol: CLIP-as-service's routes, health, status and metrics. */
export async function createHttpApp(context: ProtocolContext, { tls, data }: HttpOptions): Promise<FastifyInstance> {
  const { flow, log } = context;
  const app: FastifyInstance = fastify({
    ...(tls ? { https: tls } : {}),
    bodyLimit: flow.limits.bodyBytes,
    // Connections that are kept alive must not keep a draining gateway.
    forceCloseConnections: 'idle',
    return503OnClosing: false,
  });
  parseBodiesAsJson(app);
  if (flow.gateway.cors) await app.register(cors);
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ detail: 'Not Found' }));
  app.setErrorHandler((thrown, request, reply) => sendError(thrown, request, reply, log));
  app.addHook('onSend', async (_request, reply) => {
    if (context.drain.aborted) void reply.header('connection', 'close');
  });
  // Scopes, so that the check of tokens holds for documents alone.
  if (data) await app.register(async (scope) => addDataRoutes(scope, context));
  await app.register(async (scope) => addOperationRoutes(scope, context));
  const document = openApi(context);
  app.get('/openapi.json', async () => document);
  await app.register(swagger, { mode: 'static', specification: { document } });
  await app.register(swaggerUi, { routePrefix: '/docs' });
  return app;
}

function addOperationRoutes(app: FastifyInstance, context: ProtocolContext): void {
  const { flow, dispatch, statuses, metrics, tokens, drain } = context;
  app.get('/', async () => ({}));
  app.get('/dry_run', async () => ({ ...dryRun(context), exception: null }));
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    const waitingFor = dispatch.notReady();
    const ready = waitingFor.length === 0 && !drain.aborted;
    return reply.code(ready ? 200 : 503).send({ ready, draining: drain.aborted, waiting_for: waitingFor });
  });
  app.get('/status', async (request) => {
    tokens.check(request.headers.authorization);
    return { ...about(), executors: flow.executors.map(({ name }) => ({ name, replicas: statuses.of(name) })) };
  });
  app.get('/metrics', async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );
}

function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): FastifyReply {
  if (thrown instanceof ValidationError) return reply.code(422).send({ detail: thrown.details });
  const error = fromFastify(thrown) ?? toClipflowError(thrown);
  if (error.code === 'INTERNAL')
    log.error({ event: 'request_failed', method: request.method, url: request.url, err: thrown });
  const pause = retryAfter(error.code);
  if (pause !== undefined) void reply.header('retry-after', pause);
  return reply.code(httpStatusOf(error)).send({ detail: `${error.code}: ${error.message}` });
}

function fromFastify(thrown: unknown): ClipflowError | undefined {
  const code = (thrown as { code?: unknown }).code;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return toClipflowError(
      `the body is larger than this server takes (with.limits.body_bytes of the flow): ${message}`,
      'PAYLOAD_TOO_LARGE',
    );
  }
  const status = (thrown as { statusCode?: unknown }).statusCode;
  if (typeof status === 'number' && status < 500) return toClipflowError(message, 'INVALID_REQUEST');
  return undefined;
}
