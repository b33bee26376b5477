import type { OpenAPIV3 } from 'openapi-types';

type Schema = OpenAPIV3.SchemaObject;

const content: Schema = {
  description:
    'A text, the tokens of one by the model’s own vocabulary, {"text": ...} or {"image": url, data uri or base64}.',
  oneOf: [
    { type: 'string' },
    { type: 'array', items: { type: 'integer' } },
    { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
    { type: 'object', properties: { image: { type: 'string' } }, required: ['image'] },
  ],
};
const contents: Schema = { type: 'array', items: content };
const model: Schema = { type: 'string', description: 'Needed where the flow serves several.' };

function object(properties: Record<string, Schema>, required: string[]): Schema {
  return { type: 'object', properties, required };
}

const EMBEDDINGS = object(
  {
    input: { oneOf: [...(content.oneOf ?? []), contents] },
    model,
    encoding_format: { type: 'string', enum: ['float', 'base64'], default: 'float' },
    dimensions: { type: 'integer', description: 'Of matryoshka models: cuts the embeddings.' },
    normalized: { type: 'boolean', default: true, description: 'Embeddings of length 1.' },
    modality: { type: 'string', enum: ['text', 'image'], default: 'text', description: 'What bare strings are.' },
    partial: {
      type: 'boolean',
      default: false,
      description: 'What is wrong with one input is answered in its place; the others are embedded.',
    },
    user: { type: 'string' },
  },
  ['input'],
);

const RERANK = object(
  {
    query: content,
    documents: contents,
    model,
    top_n: { type: 'integer', minimum: 1 },
    return_documents: { type: 'boolean', default: false },
  },
  ['query', 'documents'],
);

const CLASSIFY = object(
  {
    input: contents,
    labels: { type: 'array', items: { type: 'string' } },
    model,
    template: { type: 'string', default: 'a photo of a {}.', description: 'Makes a label a caption for images.' },
  },
  ['input', 'labels'],
);

const ERROR: OpenAPIV3.ResponseObject = {
  description: 'What was wrong.',
  content: {
    'application/json': {
      schema: object(
        {
          error: object(
            {
              message: { type: 'string' },
              type: { type: 'string' },
              param: { type: 'string', nullable: true },
              code: { type: 'string', nullable: true },
            },
            ['message', 'type', 'param', 'code'],
          ),
        },
        ['error'],
      ),
    },
  },
};

function operation(summary: string, body?: Schema): OpenAPIV3.OperationObject {
  const statuses = body ? ['400', '401', '404', '413', '429', '503', '504'] : ['401', '404'];
  return {
    summary,
    ...(body && { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
    responses: { '200': { description: 'OK' }, ...Object.fromEntries(statuses.map((status) => [status, ERROR])) },
  };
}

export const OPENAI_PATHS: OpenAPIV3.PathsObject = {
  '/v1/embeddings': { post: operation('Embeddings, as OpenAI, Jina and Infinity serve them.', EMBEDDINGS) },
  '/v1/rerank': { post: operation('Documents by how well they fit a query, as Cohere and Jina serve it.', RERANK) },
  '/v2/rerank': { post: operation('The same, where Cohere’s second client looks for it.', RERANK) },
  '/v1/classify': { post: operation('Which label fits best, as Jina serves it.', CLASSIFY) },
  '/v1/models': { get: operation('The models that the flow serves.') },
  '/v1/models/{model}': {
    get: {
      ...operation('One of them.'),
      parameters: [{ name: 'model', in: 'path', required: true, schema: { type: 'string' } }],
    },
  },
};
