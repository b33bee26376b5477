import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { cosine } from '../../src/vector.js';
import type { ProtocolContext } from '../protocol-context.js';
import { parseBody } from './body.js';
import { readContent, readContents } from './content.js';
import { embed, findModel, usageOf } from './embed.js';

/** What Cohere's and Jina's clients send; other parameters are ignored. */
const Body = z.object({
  model: z.string().optional(),
  query: z.unknown().optional(),
  documents: z.array(z.unknown()),
  top_n: z.int().min(1).nullish(),
  return_documents: z.boolean().nullish(),
});

/** Documents by the cosine of their embedding with the query's, the greatest first: as /rank orders them. */
export async function postRerank(context: ProtocolContext, http: FastifyRequest, reply: FastifyReply) {
  const body = parseBody(Body, http.body);
  const model = findModel(context, body.model);
  const query = readContent(body.query, 'query');
  const contents = [query, ...readContents(body.documents, 'documents')];
  const embedded = await embed(context, { route: '/v1/rerank', model, contents }, http, reply);
  const [wanted = new Float32Array(), ...vectors] = embedded.vectors;
  const results = vectors
    .map((vector, index) => ({ index, relevance_score: cosine(wanted, vector) }))
    .sort((a, b) => b.relevance_score - a.relevance_score)
    .slice(0, body.top_n ?? undefined)
    .map((result) =>
      body.return_documents === true ? { ...result, document: asObject(body.documents[result.index]) } : result,
    );
  const usage = usageOf(embedded);
  return {
    id: randomUUID(),
    model: model.info.name,
    results,
    usage,
    // Where Cohere's clients look for it.
    meta: { tokens: { input_tokens: usage.total_tokens } },
  };
}

function asObject(document: unknown): unknown {
  return typeof document === 'string' ? { text: document } : document;
}
