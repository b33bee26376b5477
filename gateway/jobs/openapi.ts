import type { OpenAPIV3 } from 'openapi-types';

type Method = 'get' | 'post' | 'delete';

/** What each route does; docs/jobs.md has the fields. */
const ROUTES: readonly (readonly [Method, path: string, summary: string, example?: object])[] = [
  ['get', '/v1/files', 'Lists the files of the caller.'],
  ['get', '/v1/files/{id}', 'What is known of a file.'],
  ['delete', '/v1/files/{id}', 'Deletes a file.'],
  ['get', '/v1/files/{id}/content', 'What is in a file.'],
  [
    'post',
    '/v1/batches',
    'Starts a batch, as OpenAI has it.',
    { input_file_id: 'file-…', endpoint: '/v1/embeddings', completion_window: '24h' },
  ],
  ['get', '/v1/batches', 'Lists the batches of the caller.'],
  ['get', '/v1/batches/{id}', 'How far a batch is.'],
  ['post', '/v1/batches/{id}/cancel', 'Cancels a batch.'],
  ['post', '/v1/jobs', 'Starts a job: embeds many documents in the background.', { input: { documents: ['a text'] } }],
  ['get', '/v1/jobs', 'Lists the jobs of the caller.'],
  ['get', '/v1/jobs/{id}', 'How far a job is.'],
  ['get', '/v1/jobs/{id}/events', 'The same as server-sent events, until it ends.'],
  ['get', '/v1/jobs/{id}/output', 'The embeddings, in the order of the documents.'],
  ['post', '/v1/jobs/{id}/pause', 'Pauses a job.'],
  ['post', '/v1/jobs/{id}/resume', 'Resumes a job.'],
  ['post', '/v1/jobs/{id}/cancel', 'Cancels a job; what was done is in its output.'],
  ['post', '/v1/jobs/{id}/retry', 'Does again what failed and what was not done.'],
];

const ID: OpenAPIV3.ParameterObject = { name: 'id', in: 'path', required: true, schema: { type: 'string' } };

const UPLOAD: OpenAPIV3.OperationObject = {
  summary: 'Uploads a file: a request, or a document, on each line.',
  requestBody: {
    required: true,
    content: {
      'multipart/form-data': {
        schema: {
          type: 'object',
          properties: { file: { type: 'string', format: 'binary' }, purpose: { type: 'string', default: 'batch' } },
          required: ['file'],
        },
      },
    },
  },
  responses: responses(),
};

/** Of flows with Redis. */
export const JOBS_PATHS: OpenAPIV3.PathsObject = { '/v1/files': { post: UPLOAD } };
for (const [method, path, summary, example] of ROUTES) {
  const operation: OpenAPIV3.OperationObject = {
    summary,
    ...(path.includes('{id}') && { parameters: [ID] }),
    ...(example && {
      requestBody: { required: true, content: { 'application/json': { schema: { type: 'object' }, example } } },
    }),
    responses: responses(),
  };
  JOBS_PATHS[path] = { ...JOBS_PATHS[path], [method]: operation };
}

function responses(): OpenAPIV3.ResponsesObject {
  return { '200': { description: 'OK' }, default: { description: 'What was wrong, in `error`.' } };
}
