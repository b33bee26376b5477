import { imageFeeds, textFeeds } from './feeds.js';
import { fixedBatch } from './graph.js';
import type { Session } from './session.js';
import type { Feeds, TensorData } from './tensor.js';

/** Computes a batch: `session.run`, or that in turn with others. */
export type Run = (feeds: Feeds) => Promise<TensorData<'float32'>>;

/**
 * Vectors of `count` documents, computed at once, or one by one where the graph takes no more.
 * @param feeds those of the documents from `start` up to `end`
 */
export async function embedBatch(
  session: Pick<Session, 'inputs'>,
  run: Run,
  count: number,
  feeds: (start: number, end: number) => Feeds,
): Promise<Float32Array[]> {
  const step = fixedBatch(session.inputs) ?? count;
  const vectors: Float32Array[] = [];
  for (let start = 0; start < count; start += step) {
    const { data } = await run(feeds(start, start + step));
    const width = data.length / step;
    for (let row = 0; row < step; row++) vectors.push(data.subarray(row * width, (row + 1) * width));
  }
  return vectors;
}

/** Vectors of texts (token ids) that are padded with `padId` to `length`. */
export function embedTexts(
  session: Session,
  run: Run,
  texts: readonly Int32Array[],
  length: number,
  padId: number,
): Promise<Float32Array[]> {
  return embedBatch(session, run, texts.length, (start, end) =>
    textFeeds(session, texts.slice(start, end), length, padId),
  );
}

/**
 * Vectors of the first `count` pictures.
 * @param pixels (at least count, 3, size, size), normalised; allocated by the session, and its own again afterwards
 */
export function embedPixels(
  session: Session,
  run: Run,
  pixels: Float32Array<ArrayBuffer>,
  count: number,
  size: number,
): Promise<Float32Array[]> {
  const pixelsPerImage = 3 * size * size;
  if (count === 0) session.free(pixels);
  return embedBatch(session, run, count, (start, end) => {
    const part = pixels.subarray(start * pixelsPerImage, end * pixelsPerImage);
    // What is run moves to the session with its whole buffer, so every part but the last needs one of its own.
    const own = end === count ? part : session.allocate('float32', part.length);
    if (own !== part) own.set(part);
    return imageFeeds(session, own, size);
  });
}
