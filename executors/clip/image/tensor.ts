import { elements } from '../../../src/document/dtype.js';
import type { NdArray } from '../../../src/document/ndarray.js';
import { ClipflowError } from '../../../src/errors.js';
import { checkPixels, preprocessSource, type ImageTransform } from './preprocess.js';
import { sharp } from './sharp.js';

/**
 * Makes a picture given as numbers a model's input: [height, width] or [height, width, channels] of 1, 3 or 4 channels.
 * Values are cast to uint8 and not scaled, then go the way of encoded images, as docarray 0.21 does
 * (`convert_image_tensor_to_blob`): floats in 0..1 all become 0 or 1. Of four channels the fourth is ignored.
 *
 * @param out receives the result, planar: 3 x size x size
 * @throws ClipflowError INVALID_DOCUMENT (shape, dtype, length) or PAYLOAD_TOO_LARGE (past `limits`)
 */
export async function preprocessTensor(
  tensor: Pick<NdArray, 'buffer' | 'shape' | 'dtype'>,
  transform: ImageTransform,
  out: Float32Array,
): Promise<void> {
  const { buffer, shape, dtype } = tensor;
  const { limits } = transform;
  if (buffer.length > limits.bytes) {
    throw new ClipflowError(
      'PAYLOAD_TOO_LARGE',
      `The tensor has ${buffer.length} bytes; the limit is ${limits.bytes}.`,
    );
  }
  const { height, width, channels } = dimensions(shape);
  checkPixels(width, height, limits.pixels);
  const values = toUint8(elements(buffer, dtype, height * width * channels));
  const opaque = channels === 4 ? values.filter((_, i) => i % 4 !== 3) : values;
  const image = sharp(opaque, { limitInputPixels: false, raw: { width, height, channels: channels === 1 ? 1 : 3 } });
  const name = `tensor of shape [${shape.join(', ')}]`;
  await preprocessSource(
    { image, width, height, nearest: false, keyedAlpha: false, cmyk: false, name },
    transform,
    out,
  );
}

function dimensions(shape: readonly number[]): { height: number; width: number; channels: 1 | 3 | 4 } {
  // Axes of length 1 go only where there are too many, so that a picture of one row or column stays one.
  const axes = shape.length > 3 ? shape.filter((length) => length !== 1) : shape;
  const [height = 0, width = 0, channels = 1] = axes;
  if (axes.length <= 3 && height > 0 && width > 0 && (channels === 1 || channels === 3 || channels === 4)) {
    return { height, width, channels };
  }
  throw new ClipflowError(
    'INVALID_DOCUMENT',
    `The tensor has shape [${shape.join(', ')}]; an image is [height, width], or [height, width, channels] ` +
      'with 1, 3 or 4 channels (channels last).',
  );
}

/** numpy's astype(uint8): toward zero, then the lowest 8 bits, which is also JavaScript's ToUint8. */
function toUint8(values: ReturnType<typeof elements>): Uint8Array {
  if (values instanceof Uint8Array) return values;
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return bytes.filter((_, i) => i % 8 === 0); // the lowest of a little-endian machine
  }
  return new Uint8Array(values);
}
