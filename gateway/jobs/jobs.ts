import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { keys, PRIORITIES, type Job } from '../../src/jobs/job.js';
import type { JobControl } from '../../src/jobs/job-control.js';
import { parseBody } from '../openai/body.js';
import { findModel } from '../openai/embed.js';
import { ParameterError } from '../openai/errors.js';
import type { ProtocolContext } from '../protocol-context.js';
import { completionWindow, metadata } from './batches.js';
import { streamProgress } from './events.js';
import { NotFound, type JobsApi, type NewJob } from './jobs-api.js';
import { ownerOf, pageOf } from './page.js';
import { jobObject, listObject } from './shapes.js';

const ID = z.string().optional();
/** A bare string is a text. */
const Document = z.union([
  z.string().transform((text) => ({ text })),
  z.object({ id: ID, text: z.string() }),
  z.object({ id: ID, image: z.string() }),
]);

const Input = z.union(
  [
    z.strictObject({ documents: z.array(Document).min(1) }),
    z.strictObject({ urls: z.array(z.url()).min(1) }),
    z.strictObject({ file: z.string() }),
    z.strictObject({ source: z.string(), prefix: z.string().default('') }),
  ],
  'expected {"documents": [...]}, {"urls": [...]}, {"file": id} or {"source": name, "prefix": ...}',
);

const Body = z.object({
  input: Input,
  model: z.string().optional(),
  dimensions: z.int().min(1).optional(),
  normalized: z.boolean().optional(),
  output: z.enum(['jsonl', 'npy']).default('jsonl'),
  priority: z.enum(PRIORITIES).default('normal'),
  completion_window: completionWindow.default('24h'),
  metadata,
});

/** What may be done with a job, as the last part of its path says. */
const ACTIONS = ['cancel', 'pause', 'resume', 'retry'] as const satisfies readonly (keyof JobControl)[];

/** Jobs that embed many documents. */
export function addJobRoutes(scope: FastifyInstance, context: ProtocolContext, api: JobsApi): void {
  scope.post('/jobs', (request) => makeJob(context, api, request));
  scope.get('/jobs', async (request) => {
    const { limit, after } = pageOf(request);
    const jobs = await api.run(() => api.control.book.jobsOf(ownerOf(request), limit + 1, after));
    return listObject(jobs.map(jobObject), limit);
  });
  const jobOf = (request: FastifyRequest): Promise<Job> => {
    const { id } = request.params as { id: string };
    return api.run(() => api.job(id, ownerOf(request)));
  };
  scope.get('/jobs/:id', async (request) => jobObject(await jobOf(request)));
  for (const action of ACTIONS) {
    scope.post(`/jobs/:id/${action}`, async (request) => {
      const job = await jobOf(request);
      await api.run(() => api.control[action](job));
      return jobObject(await jobOf(request));
    });
  }
  scope.get('/jobs/:id/events', async (request, reply) => {
    await jobOf(request); // What is wrong is said before the stream starts.
    return streamProgress(() => jobOf(request), reply, context.drain);
  });
  scope.get('/jobs/:id/output', async (request, reply) => {
    const { spec, state } = await jobOf(request);
    if (state.outputFileId === undefined) {
      throw new NotFound(`${spec.id} is ${state.status}: it has no output`);
    }
    const key = keys.file(state.outputFileId);
    const bytes = await api.store.size(key);
    const type = spec.output === 'npy' ? 'application/octet-stream' : 'application/x-ndjson';
    return reply
      .type(type)
      .header('content-length', bytes)
      .send(await api.store.read(key));
  });
}

async function makeJob(context: ProtocolContext, api: JobsApi, request: FastifyRequest) {
  const { input, model, dimensions, normalized, ...body } = parseBody(Body, request.body);
  const owner = ownerOf(request);
  const served = findModel(context, model).info.name;
  if ('source' in input && !(input.source in api.flow.jobs.sources)) {
    const known = Object.keys(api.flow.jobs.sources).join(', ') || 'none';
    throw new ParameterError(
      'input.source',
      `"${input.source}" is none of the sources of this flow, which are: ${known}`,
    );
  }
  const lines = linesOf(input);
  const { id, known } = await api.run(async () => {
    const wanted = await api.idFor('job', owner, request);
    return { id: wanted, known: (await api.control.book.job(wanted)) !== undefined };
  });
  // One that bears the key of an earlier request is answered with that one's job.
  if (lines && !known) await api.store.write(keys.input(id), jsonLines(lines));
  const parameters = { model: served, dimensions, normalized };
  const job: NewJob = {
    id,
    kind: 'embed',
    endpoint: '/v1/embeddings',
    parameters: JSON.parse(JSON.stringify(parameters)) as Record<string, unknown>,
    output: body.output,
    priority: body.priority,
    metadata: body.metadata ?? null,
    completionWindow: body.completion_window,
    ...('file' in input && { inputFileId: input.file }),
    ...('source' in input && { source: { name: input.source, prefix: input.prefix } }),
  };
  return jobObject(await api.run(() => api.start(job, owner)));
}

function linesOf(input: z.output<typeof Input>): readonly object[] | undefined {
  if ('documents' in input) return input.documents;
  if ('urls' in input) return input.urls.map((image) => ({ image }));
  return undefined;
}

async function* jsonLines(lines: readonly object[]): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < lines.length; at += 1000) {
    const piece = lines.slice(at, at + 1000).map((line) => `${JSON.stringify(line)}\n`);
    yield Buffer.from(piece.join(''));
  }
}
