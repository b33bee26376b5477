import { ClipflowError } from '../../../src/errors.js';
import { encodeFloat16 } from './float16.js';
import { imageInputs, inputType, textInputs, type GraphValue } from './graph.js';
import type { Session } from './session.js';
import type { Feeds, TensorData } from './tensor.js';

/**
 * Token ids (and mask) of a batch as a text graph wants them, in its types and under its names: (N, length), padded with
 * `padId`.
 * @throws ClipflowError INTERNAL when a text is longer: cut here, it would lose its end
 */
export function textFeeds(
  session: Pick<Session, 'inputs' | 'allocate'>,
  texts: readonly Int32Array[],
  length: number,
  padId: number,
): Feeds {
  const { ids, mask } = textInputs(session.inputs);
  const longer = texts.find((text) => text.length > length);
  if (longer !== undefined) {
    throw new ClipflowError(
      'INTERNAL',
      `A text has ${longer.length} tokens, which is more than the ${length} to pad to.`,
    );
  }
  const tensor = (input: GraphValue, value: (text: Int32Array, column: number) => number): TensorData => {
    const type = inputType(input, ['int32', 'int64']);
    const data = session.allocate(type, texts.length * length);
    texts.forEach((text, row) => {
      for (let column = 0, i = row * length; column < length; column++, i++) {
        if (data instanceof BigInt64Array) data[i] = BigInt(value(text, column));
        else data[i] = value(text, column);
      }
    });
    return { type, dims: [texts.length, length], data };
  };
  const feeds: Feeds = { [ids.name]: tensor(ids, (text, column) => text[column] ?? padId) };
  if (mask !== undefined) feeds[mask.name] = tensor(mask, (text, column) => (column < text.length ? 1 : 0));
  return feeds;
}

/**
 * Pixels of a batch as an image graph wants them.
 * @param pixels (N, 3, size, size), normalised; allocated by the session, so that nothing is copied, and not to be used
 * any more. A graph of float16 gets them converted.
 */
export function imageFeeds(
  session: Pick<Session, 'inputs' | 'allocate' | 'free'>,
  pixels: Float32Array<ArrayBuffer>,
  size: number,
): Feeds {
  const { pixels: input } = imageInputs(session.inputs);
  const dims = [pixels.length / (3 * size * size), 3, size, size];
  const type = inputType(input, ['float32', 'float16']);
  if (type === 'float32') return { [input.name]: { type, dims, data: pixels } };
  const data = session.allocate('float16', pixels.length);
  encodeFloat16(pixels, data);
  session.free(pixels);
  return { [input.name]: { type, dims, data } };
}

/** Batches of texts to warm up with, of `length` tokens each. */
export function textSample(length: number): (session: Session, batchSize: number) => Feeds {
  return (session, batchSize) =>
    textFeeds(session, Array<Int32Array>(batchSize).fill(new Int32Array(length)), length, 0);
}

/** Batches of images to warm up with, `size` pixels a side. */
export function imageSample(size: number): (session: Session, batchSize: number) => Feeds {
  return (session, batchSize) => {
    return imageFeeds(session, session.allocate('float32', batchSize * 3 * size * size).fill(0), size);
  };
}
