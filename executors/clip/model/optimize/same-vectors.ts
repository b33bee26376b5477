import { cosine } from '../../../../src/vector.js';

/** From this cosine on two vectors count as the same. Rounding alone moves one of float32 by some 1e-7. */
const SAME = 0.9999;

/** The least cosine of two vectors that ought to be the same; undefined if all are. */
export function leastCosineIfDifferent(
  vectors: readonly Float32Array[],
  wanted: readonly Float32Array[],
): number | undefined {
  const least = Math.min(...vectors.map((vector, row) => cosine(vector, wanted[row] ?? new Float32Array())));
  return least >= SAME ? undefined : least; // what is not a number differs, too
}
