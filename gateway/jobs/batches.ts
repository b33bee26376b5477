import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { BATCH_ENDPOINTS, PRIORITIES, type Job } from '../../src/jobs/job.js';
import { parseBody } from '../openai/body.js';
import { NotFound, WINDOW_PATTERN, type JobsApi } from './jobs-api.js';
import { ownerOf, pageOf } from './page.js';
import { batchObject, listObject } from './shapes.js';

export const completionWindow = z.string().regex(WINDOW_PATTERN, 'expected a number and s, m, h or d, such as 24h');
export const metadata = z.record(z.string(), z.string()).nullish();

const Body = z.object({
  input_file_id: z.string(),
  endpoint: z.enum(BATCH_ENDPOINTS),
  completion_window: completionWindow.default('24h'),
  metadata,
  /** Ours. */
  priority: z.enum(PRIORITIES).default('normal'),
});

/** OpenAI's Batch API: platform.openai.com/docs/api-reference/batch. */
export function addBatchRoutes(scope: FastifyInstance, api: JobsApi): void {
  scope.post('/batches', async (request) => {
    const body = parseBody(Body, request.body);
    const owner = ownerOf(request);
    return api.run(async () => {
      await api.file(body.input_file_id, owner);
      const job = await api.start(
        {
          id: await api.idFor('batch', owner, request),
          kind: 'batch',
          endpoint: body.endpoint,
          inputFileId: body.input_file_id,
          parameters: {},
          output: 'jsonl',
          priority: body.priority,
          metadata: body.metadata ?? null,
          completionWindow: body.completion_window,
        },
        owner,
      );
      return batchObject(job);
    });
  });
  scope.get('/batches', async (request) => {
    const { limit, after } = pageOf(request);
    const batches = await api.run(() => batchesOf(api, ownerOf(request), limit + 1, after));
    return listObject(batches.map(batchObject), limit);
  });
  scope.get<{ Params: { id: string } }>('/batches/:id', async (request) =>
    batchObject(await api.run(() => batch(api, request.params.id, ownerOf(request)))),
  );
  scope.post<{ Params: { id: string } }>('/batches/:id/cancel', async (request) =>
    api.run(async () => {
      const owner = ownerOf(request);
      await api.control.cancel(await batch(api, request.params.id, owner));
      return batchObject(await api.job(request.params.id, owner));
    }),
  );
}

const LOOKED_AT = 100;

/** The owner's jobs of the other kind stand between them. */
async function batchesOf(api: JobsApi, owner: string, limit: number, after: string | undefined): Promise<Job[]> {
  const found: Job[] = [];
  for (let last = after; ;) {
    const jobs = await api.control.book.jobsOf(owner, LOOKED_AT, last);
    found.push(...jobs.filter(({ spec }) => spec.kind === 'batch'));
    last = jobs.at(-1)?.spec.id;
    if (last === undefined || found.length >= limit) return found.slice(0, limit);
  }
}

async function batch(api: JobsApi, id: string, owner: string) {
  const job = await api.job(id, owner);
  if (job.spec.kind === 'batch') return job;
  throw new NotFound(`there is no batch ${id}; jobs are at /v1/jobs`);
}
