import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { parseBody } from '../openai/body.js';

const Query = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  after: z.string().optional(),
});

/** `?limit=` and `?after=` of a list. */
export function pageOf(request: FastifyRequest): z.output<typeof Query> {
  return parseBody(Query, request.query);
}

/** Whose jobs and files these are. */
export function ownerOf({ caller }: FastifyRequest): string {
  return caller?.name ?? 'anyone';
}
