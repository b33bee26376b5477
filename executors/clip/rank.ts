import type { Document } from '../../src/document/document.js';
import { cosine } from '../../src/vector.js';

/** Published CLIP's logit scale, exp(4.60517), which `/rank` of CLIP-as-service uses for every model. */
export const LOGIT_SCALE = 100;

/**
 * Scores the matches of a query that has its embedding, as CLIP-as-service does: `clip_score_cosine`, the cosine with
 * the query, and `clip_score`, the softmax over the query's matches of 100 times that. Best match first; the matches'
 * embeddings are dropped.
 */
export function rankMatches(query: Document): void {
  const embedding = query.embedding?.toFloat32();
  if (!embedding || query.matches.length === 0) return;
  const scored = query.matches.map((match) => ({ match, cosine: cosineWith(embedding, match) }));
  const greatest = Math.max(...scored.map((one) => one.cosine));
  const weights = scored.map((one) => Math.exp(LOGIT_SCALE * (one.cosine - greatest)));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  scored.forEach(({ match, cosine }, index) => {
    match.scores = {
      ...match.scores,
      clip_score: { value: (weights[index] ?? 0) / sum, opName: 'softmax' },
      clip_score_cosine: { value: cosine, opName: 'cosine' },
    };
    match.embedding = undefined;
  });
  query.matches = scored.sort((a, b) => b.cosine - a.cosine).map(({ match }) => match);
}

/** -1 for a match without embedding: it had no content, and stands last. */
function cosineWith(query: Float32Array, match: Document): number {
  const embedding = match.embedding?.toFloat32();
  return embedding ? cosine(query, embedding) : -1;
}
