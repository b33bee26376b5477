import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { toUnitLength } from '../../src/vector.js';
import type { ModelInfo } from '../../src/model-info.js';
import type { ProtocolContext } from '../protocol-context.js';
import { parseBody } from './body.js';
import { readInput, type Content } from './content.js';
import { embedEach, findModel, usageOf } from './embed.js';
import { openAiError, orThrow, ParameterError } from './errors.js';

const Format = z.enum(['float', 'base64']);

/** OpenAI's parameters, and Jina's and Infinity's names for what these have beside them. Others are ignored. */
const Body = z.object({
  input: z.unknown().optional(),
  model: z.string().optional(),
  encoding_format: Format.nullish(),
  /** Jina's name for it. */
  embedding_type: Format.nullish(),
  dimensions: z.int().min(1).nullish(),
  user: z.string().nullish(),
  /** Jina's: false leaves the vectors as long as the model makes them. */
  normalized: z.boolean().nullish(),
  /** Infinity's: what bare strings are. */
  modality: z.enum(['text', 'image']).nullish(),
  /** Our own: what is wrong with one input is answered in its place, and the others are embedded. */
  partial: z.boolean().nullish(),
});

export async function postEmbeddings(context: ProtocolContext, http: FastifyRequest, reply: FastifyReply) {
  const body = parseBody(Body, http.body);
  const model = findModel(context, body.model);
  const dimensions = checkDimensions(body.dimensions ?? undefined, model.info);
  const inputs = readInput(body.input, body.modality ?? 'text');
  const orFail: <T>(value: T | ParameterError) => T | ParameterError = body.partial ? (value) => value : orThrow;
  const contents = inputs.map(orFail).filter(isContent);
  const { vectors, tokens } = await embedEach(context, { route: '/v1/embeddings', model, contents }, http, reply);
  const format = body.encoding_format ?? body.embedding_type ?? 'float';
  const answers = vectors.map(orFail).values();
  return {
    object: 'list',
    data: inputs.map((input, index) => {
      const answer = isContent(input) ? answers.next().value : input;
      if (answer === undefined) throw new Error(`the flow did not answer input ${index}`);
      if (answer instanceof ParameterError) return { object: 'error', index, ...openAiError(answer) };
      const cut = answer.subarray(0, dimensions);
      const embedding = encode(body.normalized === false ? cut : toUnitLength(cut), format);
      return { object: 'embedding', index, embedding };
    }),
    model: model.info.name,
    usage: usageOf({ tokens }),
  };
}

function isContent(input: Content | ParameterError): input is Content {
  return !(input instanceof ParameterError);
}

/** base64: little-endian float32. */
function encode(vector: Float32Array, format: z.output<typeof Format>): number[] | string {
  if (format === 'float') return Array.from(vector);
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
}

/** Only embeddings of models that were trained for it may be cut. */
function checkDimensions(wanted: number | undefined, { name, dimension, matryoshka }: ModelInfo): number {
  if (wanted === undefined || wanted === dimension) return dimension;
  if (matryoshka === null) {
    throw new ParameterError(
      'dimensions',
      `model ${name} does not support it: its embeddings have ${dimension} numbers`,
    );
  }
  const allowed = matryoshka === 'any' ? wanted < dimension : matryoshka.includes(wanted);
  if (allowed && wanted < dimension) return wanted;
  const choice = matryoshka === 'any' ? `at most ${dimension}` : [...matryoshka].sort((a, b) => a - b).join(', ');
  throw new ParameterError('dimensions', `model ${name} can have ${choice}`);
}
