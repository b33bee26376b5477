import { embedPixels } from '../embed.js';
import type { Session } from '../session.js';
import { logPruned, optimize, type GraphFile } from './optimize.js';
import { pruneLastBlock } from './prune-last-block.js';
import { leastCosineIfDifferent } from './same-vectors.js';

export interface ImageTower {
  session: Session;
  /** Whether its last block computes only the class token. */
  pruned: boolean;
}

/**
 * Spares an image tower's last block all positions but the class token, where vectors are taken from that: probe pictures
 * tell.
 * @param size pixels of a picture's side
 *
 * Logs `last_block_pruned`, or `last_block_not_pruned` with the reason.
 */
export async function optimizeImage(bare: Session, size: number, file: GraphFile): Promise<ImageTower> {
  const wanted = await embedProbes(bare, size);
  const optimized = await optimize(
    bare,
    file,
    new Map([['prune_last_block', pruneLastBlock({ at: 'first' })]]),
    async (session) => {
      const cosine = leastCosineIfDifferent(await embedProbes(session, size), wanted);
      return cosine === undefined ? undefined : `its vectors differ (cosine ${cosine})`;
    },
  );
  logPruned(optimized, file);
  return { session: optimized.session, pruned: optimized.applied.length > 0 };
}

/** Vectors of two pictures, of slow and of fast waves. */
function embedProbes(session: Session, size: number): Promise<Float32Array[]> {
  const pixelsPerImage = 3 * size * size;
  const pixels = session.allocate('float32', 2 * pixelsPerImage);
  for (let index = 0; index < pixels.length; index++)
    pixels[index] = 1.5 * Math.sin((index < pixelsPerImage ? 0.01 : 0.37) * index);
  return embedPixels(session, (feeds) => session.run(feeds), pixels, 2, size);
}
