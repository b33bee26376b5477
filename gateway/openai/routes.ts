import type { FastifyInstance } from 'fastify';
import { ClipflowError } from '../../src/errors.js';
import { requireToken } from '../http/caller.js';
import type { ServedModel } from '../models.js';
import type { ProtocolContext } from '../protocol-context.js';
import { postClassify } from './classify.js';
import { postEmbeddings } from './embeddings.js';
import { sendOpenAiError } from './errors.js';
import { postRerank } from './rerank.js';

/** When the models appeared, as far as this gateway knows: Unix time in seconds. */
const CREATED = Math.floor(performance.timeOrigin / 1000);

/** The API that clients of OpenAI, Jina and Cohere speak, under /v1; Cohere's second client asks under /v2. */
export async function addOpenAiRoutes(app: FastifyInstance, context: ProtocolContext): Promise<void> {
  await app.register(async (scope) => addVersion1(scope, context), { prefix: '/v1' });
  await app.register(async (scope) => addVersion2(scope, context), { prefix: '/v2' });
}

/** In this scope requests have an id, tokens are asked for, and whatever fails is answered as OpenAI does. */
export function speakOpenAi(scope: FastifyInstance, context: ProtocolContext): void {
  scope.addHook('onRequest', async ({ id }, reply) => void reply.header('x-request-id', id));
  requireToken(scope, context);
  scope.setErrorHandler((thrown, request, reply) => sendOpenAiError(thrown, request, reply, context.log));
}

/** For the whole prefix of the scope, other scopes under it included. */
function refuseOtherRoutes(scope: FastifyInstance, { jobs }: ProtocolContext): void {
  scope.setNotFoundHandler(({ method, url }) => {
    const needsRedis = !jobs && /^\/v1\/(files|batches|jobs)\b/.test(url);
    const mend = needsRedis ? 'bulk jobs need Redis (with.redis of the flow)' : '/docs lists what there is';
    throw new ClipflowError('UNKNOWN_ENDPOINT', `there is no ${method} ${url}; ${mend}`);
  });
}

function addVersion2(scope: FastifyInstance, context: ProtocolContext): void {
  speakOpenAi(scope, context);
  refuseOtherRoutes(scope, context);
  scope.post('/rerank', (request, reply) => postRerank(context, request, reply));
}

function addVersion1(scope: FastifyInstance, context: ProtocolContext): void {
  speakOpenAi(scope, context);
  refuseOtherRoutes(scope, context);
  scope.post('/embeddings', (request, reply) => postEmbeddings(context, request, reply));
  scope.post('/rerank', (request, reply) => postRerank(context, request, reply));
  scope.post('/classify', (request, reply) => postClassify(context, request, reply));
  scope.get('/models', async () => ({ object: 'list', data: context.models.list().map(modelObject) }));
  // Names of models may have slashes.
  scope.get<{ Params: { '*': string } }>('/models/*', async (request) =>
    modelObject(context.models.find(request.params['*'])),
  );
}

function modelObject({ info }: ServedModel) {
  return { id: info.name, object: 'model', created: CREATED, owned_by: 'clipflow' };
}
