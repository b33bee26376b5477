import { randomUUID } from 'node:crypto';
import cors from '@fastify/cors';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import fastify, { type FastifyInstance } from 'fastify';
import { about } from '../about.js';
import { dryRun } from '../dry-run.js';
import { addJobsRoutes } from '../jobs/routes.js';
import { loadJson } from '../load-json.js';
import { addOpenAiRoutes } from '../openai/routes.js';
import type { ProtocolContext } from '../protocol-context.js';
import type { TlsOptions } from '../tls.js';
import { parseBodiesAsJson } from './body.js';
import { sendError } from './errors.js';
import { openApi } from './openapi.js';
import { addDataRoutes } from './post.js';

export interface HttpOptions {
  tls?: TlsOptions | undefined;
  /** Serve documents too, not only health, status and metrics. */
  data: boolean;
}

/** Everything over HTTP: CLIP-as-service's routes, the OpenAI-compatible ones, health, status and metrics. */
export async function createHttpApp(context: ProtocolContext, { tls, data }: HttpOptions): Promise<FastifyInstance> {
  const { flow, log } = context;
  const app: FastifyInstance = fastify({
    ...(tls ? { https: tls } : {}),
    bodyLimit: flow.limits.bodyBytes,
    requestIdHeader: 'x-request-id',
    genReqId: () => `req_${randomUUID().replaceAll('-', '')}`,
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
  if (data) {
    await app.register(async (scope) => addDataRoutes(scope, context));
    await addOpenAiRoutes(app, context);
    await addJobsRoutes(app, context);
  }
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
  app.get('/load', () => loadJson(context));
  app.get('/metrics', async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );
}
