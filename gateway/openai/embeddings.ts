import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { toUnitLength } from '../../src/vector.js';
import type { ModelInfo } from '../../src/model-info.js';
import type { ProtocolContext } from '../protocol-context.js';
import { parseBody } from './body.js';
import { readInput } from './content.js';
import { embed, findModel, usageOf } from './embed.js';
import { ParameterError } from './errors.js';

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
});

export async function postEmbeddings(context: ProtocolContext, http: FastifyRequest, reply: FastifyReply) {
  const body = parseBody(Body, http.body);
  const model = findModel(context, body.model);
  const dimensions = checkDimensions(body.dimensions ?? undefined, model.info);
  const contents = readInput(body.input, body.modality ?? 'text');
  const embedded = await embed(context, { route: '/v1/embeddings', model, contents }, http, reply);
  const format = body.encoding_format ?? body.embedding_type ?? 'float';
  return {
    object: 'list',
    data: embedded.vectors.map((vector, index) => {
      const cut = vector.subarray(0, dimensions);
      const embedding = encode(body.normalized === false ? cut : toUnitLength(cut), format);
      return { object: 'embedding', index, embedding };
    }),
    model: model.info.name,
    usage: usageOf(embedded),
  };
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
