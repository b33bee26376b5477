import { z } from 'zod';

/**
 * How the cosine of a text and an image becomes a score: a softmax of `scale * cosine` over the candidates, or for each
 * pair alone the sigmoid of `scale * cosine + bias` (SigLIP).
 */
export const ScoreSpec = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('softmax'), scale: z.number() }),
  z.object({ kind: z.literal('sigmoid'), scale: z.number(), bias: z.number() }),
]);
export type ScoreSpec = z.output<typeof ScoreSpec>;

/** Numbers that a matryoshka model's embeddings may be cut to; `any`: every one. */
export const Matryoshka = z.union([z.array(z.int().positive()), z.literal('any')]);
export type Matryoshka = z.output<typeof Matryoshka>;

/** What an executor tells of a model that it serves. */
export const ModelInfo = z.object({
  /** What callers name it by. */
  name: z.string().min(1),
  /** Where documents get its embeddings. */
  endpoint: z.string().min(1),
  /** Numbers of an embedding. */
  dimension: z.int().positive(),
  scores: ScoreSpec,
  /** null: embeddings are of use as a whole only. */
  matryoshka: Matryoshka.nullable(),
  /**
   * Two replicas have the same one exactly if they compute the same embeddings: what a cache of them may go by. null:
   * they must not be cached.
   */
  fingerprint: z.string().nullable(),
});
export type ModelInfo = z.output<typeof ModelInfo>;
