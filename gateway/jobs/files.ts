import { randomUUID } from 'node:crypto';
import multipart from '@fastify/multipart';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ClipflowError } from '../../src/errors.js';
import { keys, type FileRecord } from '../../src/jobs/job.js';
import { ParameterError } from '../openai/errors.js';
import type { JobsApi } from './jobs-api.js';
import { ownerOf, pageOf } from './page.js';
import { fileObject, listObject } from './shapes.js';

/** OpenAI's Files API: platform.openai.com/docs/api-reference/files. */
export async function addFileRoutes(scope: FastifyInstance, api: JobsApi): Promise<void> {
  const { store } = api;
  const { book } = api.control;
  const { fileBytes } = api.flow.jobs;
  await scope.register(multipart, { limits: { files: 1, fileSize: Infinity } });
  const limits = {
    onRequest: async (request: FastifyRequest) => refuseTooLarge(request, fileBytes),
    onResponse: hangUp,
  };
  scope.post('/files', limits, async (request) => {
    const owner = ownerOf(request);
    const id = `file-${randomUUID().replaceAll('-', '')}`;
    const { filename, purpose, bytes } = await receive(request, api, id);
    const createdAt = Date.now();
    const expiresAt = createdAt + api.flow.jobs.retentionMs;
    const file: FileRecord = { id, owner, filename, purpose, bytes, createdAt, expiresAt };
    await api
      .run(() => book.putFile(file))
      .catch(async (error: unknown) => {
        await store.remove(keys.file(id)); // Nobody would know of it.
        throw error;
      });
    return fileObject(file);
  });
  scope.get('/files', async (request) => {
    const { limit, after } = pageOf(request);
    const files = await api.run(() => book.filesOf(ownerOf(request), limit + 1, after));
    return listObject(files.map(fileObject), limit);
  });
  scope.get<{ Params: { id: string } }>('/files/:id', async (request) =>
    fileObject(await api.run(() => api.file(request.params.id, ownerOf(request)))),
  );
  scope.get<{ Params: { id: string } }>('/files/:id/content', async (request, reply) => {
    const { id, bytes } = await api.run(() => api.file(request.params.id, ownerOf(request)));
    const content = await store.read(keys.file(id));
    return reply.type('application/octet-stream').header('content-length', bytes).send(content);
  });
  scope.delete<{ Params: { id: string } }>('/files/:id', async (request) => {
    const file = await api.run(() => api.file(request.params.id, ownerOf(request)));
    await store.remove(keys.file(file.id));
    await api.run(() => book.removeFile(file));
    return { id: file.id, object: 'file', deleted: true };
  });
}

/** What a form has beside its file. */
const FORM_BYTES = 2 ** 20;

/** By what the caller says, before anything is read; what comes is counted too, as it is written. */
function refuseTooLarge({ headers, raw }: FastifyRequest, fileBytes: number): void {
  if (!(Number(headers['content-length']) > fileBytes + FORM_BYTES)) return;
  // What nobody has begun to read Node reads to its end, once it is answered.
  raw.once('data', () => raw.pause());
  const message = `the file is larger than this server takes: ${fileBytes} bytes (with.jobs.file_bytes of the flow)`;
  throw new ClipflowError('PAYLOAD_TOO_LARGE', message);
}

/** Time for a caller that still sends to notice that it has its answer. */
const LINGER_MS = 2000;

/** An upload that was refused is not read to its end. */
async function hangUp({ raw }: FastifyRequest): Promise<void> {
  if (raw.complete) return;
  const late = (): void => void (!raw.complete && raw.socket.destroy());
  setTimeout(late, LINGER_MS).unref();
}

/** Writes the file of the form to the store while it comes in. */
async function receive(
  request: FastifyRequest,
  api: JobsApi,
  id: string,
): Promise<{ filename: string; purpose: string; bytes: number }> {
  if (!request.isMultipart()) throw new ParameterError('file', 'send a form (multipart/form-data) with the file');
  await api.run(async () => {}); // Before gigabytes come in.
  let [purpose, filename, bytes] = ['batch', '', -1];
  try {
    for await (const part of request.parts()) {
      if (part.type === 'file') {
        bytes = await api.store.write(keys.file(id), part.file, { maxBytes: api.flow.jobs.fileBytes });
        ({ filename } = part);
      } else if (part.fieldname === 'purpose') {
        purpose = String(part.value);
      }
    }
  } catch (error) {
    await api.store.remove(keys.file(id)); // The form may be wrong behind the file.
    // The parser of forms gives its errors no code; those of disks and connections have one.
    if (!(error instanceof Error) || 'code' in error) throw error;
    throw new ParameterError('file', `the form is malformed: ${error.message}`);
  }
  if (bytes < 0) throw new ParameterError('file', 'is missing in the form');
  return { filename, purpose, bytes };
}
