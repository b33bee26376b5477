import type { FastifyInstance } from 'fastify';
import { parseBodiesAsJson } from '../http/body.js';
import { speakOpenAi } from '../openai/routes.js';
import type { ProtocolContext } from '../protocol-context.js';
import { addBatchRoutes } from './batches.js';
import { addBoard } from './board.js';
import { addFileRoutes } from './files.js';
import { addJobRoutes } from './jobs.js';

/** Bulk jobs: files, batches and jobs under /v1, and the page of the queue. */
export async function addJobsRoutes(app: FastifyInstance, context: ProtocolContext): Promise<void> {
  const { jobs } = context;
  if (!jobs) return;
  await app.register(
    async (scope) => {
      speakOpenAi(scope, context);
      parseBodiesAsJson(scope, { mayBeEmpty: true });
      await addFileRoutes(scope, jobs);
      addBatchRoutes(scope, jobs);
      addJobRoutes(scope, context, jobs);
    },
    { prefix: '/v1' },
  );
  await addBoard(app, context, jobs);
}
