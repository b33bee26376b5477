import type { OpenAPIV3 } from 'openapi-types';
import { VERSION } from '../../src/version.js';
import { JOBS_PATHS } from '../jobs/openapi.js';
import { OPENAI_PATHS } from '../openai/openapi.js';
import type { ProtocolContext } from '../protocol-context.js';
import { dataRoutes } from './post.js';

/** OpenAPI 3.0 of the HTTP protocol. clip-client reads its paths to choose between `/<endpoint>` and `/post`. */
export function openApi(context: ProtocolContext): OpenAPIV3.Document {
  const paths: OpenAPIV3.PathsObject = {};
  for (const { method, path, endpoint } of dataRoutes(context)) {
    const summary = endpoint === undefined ? 'Send documents to any endpoint.' : `Send documents to ${endpoint}.`;
    paths[path] = { ...paths[path], [String(method).toLowerCase()]: dataOperation(summary) };
  }
  for (const [path, summary] of Object.entries(OPERATIONS)) paths[path] = { get: operation(summary) };
  Object.assign(paths, OPENAI_PATHS, context.jobs && JOBS_PATHS);
  const { title, description } = context.flow.gateway;
  return {
    openapi: '3.0.3',
    info: { title: title ?? 'clipflow', description: description ?? 'CLIP embeddings.', version: VERSION },
    paths,
    components: { schemas: SCHEMAS },
  };
}

const OPERATIONS: Record<string, string> = {
  '/': 'Answers {} while the gateway lives.',
  '/dry_run': 'Whether the flow can answer, as Jina asks it.',
  '/healthz': 'The gateway lives.',
  '/readyz': 'Each executor has a ready replica.',
  '/status': 'Versions, and each replica with its state.',
  '/load': 'What each executor and the bulk jobs have to do, for all gateways: for scalers that ask a URL.',
  '/metrics': 'Metrics for Prometheus.',
};

const ERROR = { description: 'What was wrong, in `detail` or in the status of the header.' };

function operation(summary: string): OpenAPIV3.OperationObject {
  return { summary, responses: { '200': { description: 'OK' } } };
}

function dataOperation(summary: string): OpenAPIV3.OperationObject {
  const json = (name: string): Record<string, OpenAPIV3.MediaTypeObject> => ({
    'application/json': { schema: { $ref: `#/components/schemas/${name}` } },
  });
  return {
    summary,
    requestBody: { required: true, content: json('Request') },
    responses: {
      '200': { description: 'The documents; `header.status` is null unless some failed.', content: json('Response') },
      ...Object.fromEntries(['401', '404', '413', '422', '429', '503', '504'].map((status) => [status, ERROR])),
    },
  };
}

type Schema = OpenAPIV3.SchemaObject;

const text: Schema = { type: 'string', nullable: true };
const numbers: Schema = { type: 'array', items: { type: 'number' }, nullable: true };
const documents: Schema = { type: 'array', items: { $ref: '#/components/schemas/Document' }, nullable: true };

const SCHEMAS: Record<string, Schema> = {
  Document: {
    type: 'object',
    properties: {
      id: text,
      text,
      blob: { type: 'string', format: 'byte', nullable: true, description: 'Image bytes in base64.' },
      uri: { type: 'string', nullable: true, description: 'http(s) or data: address of an image.' },
      tensor: { type: 'array', items: {}, nullable: true, description: 'Image of height, width, channels.' },
      mime_type: text,
      tags: { type: 'object', nullable: true },
      embedding: numbers,
      matches: documents,
      chunks: documents,
      scores: { type: 'object', nullable: true },
    },
  },
  Request: {
    type: 'object',
    properties: {
      data: documents,
      exec_endpoint: { type: 'string', default: '/', description: 'Of POST /post; other paths are their own.' },
      target_executor: { type: 'string', nullable: true, description: 'Regular expression on the executor’s name.' },
      parameters: { type: 'object', nullable: true },
    },
  },
  Response: {
    type: 'object',
    properties: {
      header: { type: 'object' },
      parameters: { type: 'object' },
      routes: { type: 'array', items: { type: 'object' } },
      data: documents,
    },
  },
};
