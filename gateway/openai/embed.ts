import type { FastifyReply, FastifyRequest } from 'fastify';
import { Document } from '../../src/document/document.js';
import type { ErrorData } from '../../src/errors.js';
import { accounted } from '../accounted.js';
import { shareOf } from '../call-settings.js';
import { originOf } from '../http/caller.js';
import type { ServedModel } from '../models.js';
import type { ProtocolContext } from '../protocol-context.js';
import type { Content } from './content.js';
import { openAiStatusOf, orThrow, ParameterError } from './errors.js';

/** What to embed by which model. */
export interface EmbedCall {
  /** For metrics. */
  route: string;
  model: ServedModel;
  contents: readonly Content[];
}

/** In the order of the contents. */
export interface Embedded<T = Float32Array> {
  /** As the model gives them. */
  vectors: T[];
  /** That the texts came to. */
  tokens: number;
}

/** @param name may be left out where the flow serves one model */
export function findModel({ models }: ProtocolContext, name: string | undefined): ServedModel {
  if (name === undefined && models.list().length > 1) {
    const known = models.list().map(({ info }) => info.name);
    throw new ParameterError('model', `name one of: ${known.join(', ')}`);
  }
  return models.find(name);
}

/**
 * Sends contents through the flow.
 * @throws ParameterError for the first content that failed
 */
export async function embed(
  context: ProtocolContext,
  call: EmbedCall,
  http: FastifyRequest,
  reply: FastifyReply,
): Promise<Embedded> {
  const { vectors, tokens } = await embedEach(context, call, http, reply);
  return { vectors: vectors.map(orThrow), tokens };
}

/**
 * Sends contents through the flow; what is wrong with one is answered in its place.
 * @throws ParameterError when the flow could not serve one now: the same request may succeed later
 */
export async function embedEach(
  context: ProtocolContext,
  { route, model, contents }: EmbedCall,
  http: FastifyRequest,
  reply: FastifyReply,
): Promise<Embedded<Float32Array | ParameterError>> {
  const origin = originOf(context, http, reply);
  const call = { protocol: 'openai', endpoint: route, caller: origin.caller, documents: contents.length } as const;
  return accounted(context, call, async () => {
    const { outcomes } = await context.dispatch.post({
      endpoint: model.info.endpoint,
      parameters: {},
      docs: contents.map(({ doc }) => doc),
      targetExecutor: context.models.target(model),
      ...origin,
      caller: shareOf(context, origin),
    });
    let tokens = 0;
    const vectors = outcomes.map((outcome, index) => {
      const parameter = contents[index]?.parameter ?? '';
      if ('error' in outcome) return failed(parameter, outcome.error);
      tokens += outcome.tokens ?? 0;
      const { embedding } = Document.fromBytes(outcome.doc);
      if (embedding) return embedding.toFloat32();
      return new ParameterError(parameter, `model ${model.info.name} gave it no embedding`, 'INVALID_DOCUMENT');
    });
    return { vectors, tokens };
  });
}

function failed(parameter: string, { message, code }: ErrorData): ParameterError {
  const error = new ParameterError(parameter, message, code);
  if (error.retryable && openAiStatusOf(error) >= 429) throw error;
  return error;
}

/** As OpenAI counts: images come to no tokens. */
export function usageOf({ tokens }: Pick<Embedded, 'tokens'>): { prompt_tokens: number; total_tokens: number } {
  return { prompt_tokens: tokens, total_tokens: tokens };
}
