import type { Sharp, SharpOptions } from 'sharp';
import { ClipflowError } from '../../../src/errors.js';
import { identifyFormat, type ImageFormat } from './format.js';
import { transparentColour } from './gif.js';
import { resample, resampleNearest, type Interpolation, type Pixels, type Target } from './resample.js';
import { sharp } from './sharp.js';

/** The bomb limit of PIL: an image of more pixels is not decoded. */
export const DEFAULT_MAX_PIXELS = 178_956_970;

/** How a model wants its images. */
export interface ImageTransform {
  /** Side of the square result in pixels. */
  size: number;
  /** Per channel (RGB), for values scaled to 0..1. */
  mean: readonly [number, number, number];
  std: readonly [number, number, number];
  /** 'shorter': shorter side to `size`, then the centre is cut out. 'squash': both sides to `size`. */
  resize: 'shorter' | 'squash';
  interpolation: Interpolation;
  /** What is refused before anything is decoded: pixels (width x height) and encoded bytes. */
  limits: { pixels: number; bytes: number };
}

/** A picture about to be decoded: sharp's pipeline at its start, and what PIL would know about it. */
export interface Source {
  image: Sharp;
  width: number;
  height: number;
  /** PIL resizes palette and 1-bit pictures with NEAREST, before they become RGB. */
  nearest: boolean;
  /** Transparency is one colour of a picture without alpha channel: PIL lets that colour show. */
  keyedAlpha: boolean;
  /** That colour, where decoding loses it. */
  keyColour?: readonly [number, number, number];
  cmyk: boolean;
  /** For error messages. */
  name: string;
}

/**
 * Decodes an image and makes it a model's input as the published CLIP preprocessing does: resize, centre crop, then RGB,
 * /255, normalise. EXIF orientation and ICC profiles are ignored, of an animation the first frame counts, all as PIL
 * and torchvision do in clip-server 0.8.3 and open_clip.
 *
 * @param bytes encoded image; must not change until the promise settles
 * @param out receives the result, planar: 3 x size x size
 * @throws ClipflowError INVALID_DOCUMENT (no image, damaged, truncated) or PAYLOAD_TOO_LARGE (past `limits`)
 */
export async function preprocessImage(bytes: Uint8Array, transform: ImageTransform, out: Float32Array): Promise<void> {
  const { limits } = transform;
  if (bytes.length > limits.bytes) {
    throw new ClipflowError('PAYLOAD_TOO_LARGE', `The image has ${bytes.length} bytes; the limit is ${limits.bytes}.`);
  }
  await preprocessSource(await openSource(bytes, identifyFormat(bytes), limits.pixels), transform, out);
}

/** Reads the header only. */
async function openSource(bytes: Uint8Array, format: ImageFormat, maxPixels: number): Promise<Source> {
  // A PNG says its size in the first bytes, libvips only once the header is whole.
  if (format === 'png' && bytes.length >= 24) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    checkPixels(view.getUint32(16), view.getUint32(20), maxPixels);
  }
  // 'truncated' fails where PIL fails: on missing data, not on a warning of libjpeg. Our own limit names the numbers.
  const options: SharpOptions = { failOn: 'truncated', ignoreIcc: true, limitInputPixels: false };
  const image = sharp(bytes, options);
  const header = await image.metadata().catch((error: unknown) => {
    throw damaged(`${format} image`, error);
  });
  const { width, height } = header;
  checkPixels(width, height, maxPixels);
  // In a PNG, tRNS gives alpha to colour types without the alpha bit (4).
  const pngKey = format === 'png' && ((bytes[25] ?? 0) & 4) === 0;
  return {
    image,
    width,
    height,
    nearest: header.isPalette || header.bitsPerSample === 1,
    keyedAlpha: header.hasAlpha && (pngKey || format === 'gif'),
    ...(format === 'gif' && { keyColour: transparentColour(bytes) }),
    cmyk: header.space === 'cmyk',
    name: `${format} image (${width} x ${height})`,
  };
}

export function checkPixels(width: number, height: number, maxPixels: number): void {
  if (width * height <= maxPixels) return;
  throw new ClipflowError(
    'PAYLOAD_TOO_LARGE',
    `The image has ${width} x ${height} = ${width * height} pixels; the limit is ${maxPixels}. Send a smaller one.`,
  );
}

/** The part of the way that encoded images and tensors share. */
export async function preprocessSource(source: Source, transform: ImageTransform, out: Float32Array): Promise<void> {
  const { size } = transform;
  if (out.length !== 3 * size * size) {
    throw new ClipflowError('INTERNAL', `The output has ${out.length} values; an image needs 3 x ${size} x ${size}.`);
  }
  const target = targetOf(source, transform);
  const pixels = await resize(source, target, transform.interpolation).catch((error: unknown) => {
    throw damaged(source.name, error);
  });
  normalise(source.cmyk ? cmykToRgb(pixels) : pixels, transform, out);
}

function targetOf({ width, height }: Source, { size, resize }: ImageTransform): Target {
  const squash = resize === 'squash';
  // torchvision truncates the longer side and rounds the offset as Python does.
  const to = {
    width: squash || width <= height ? size : Math.floor((size * width) / height),
    height: squash || height <= width ? size : Math.floor((size * height) / width),
  };
  const left = roundHalfEven((to.width - size) / 2);
  const top = roundHalfEven((to.height - size) / 2);
  return { left, top, cropWidth: size, cropHeight: size, ...to };
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}

/**
 * sharp makes pictures smaller on its own threads and close to PIL (its `cubic` is the same filter, Keys with a = -0.5).
 * It does not where it enlarges, has no NEAREST that samples where PIL samples, and multiplies keyed alpha in:
 * there the pixels are resampled here, exactly.
 */
async function resize(source: Source, target: Target, interpolation: Interpolation): Promise<Pixels> {
  const enlarges = target.width > source.width || target.height > source.height;
  if (enlarges || source.nearest || source.keyedAlpha) {
    const decoded = await pixelsOf(source);
    const pixels = source.keyedAlpha ? withoutAlpha(decoded, source.keyColour) : decoded;
    return source.nearest ? resampleNearest(pixels, target) : resample(pixels, target, interpolation);
  }
  source.image
    .resize(target.width, target.height, {
      fit: 'fill',
      kernel: interpolation === 'bicubic' ? 'cubic' : 'linear',
      // JPEG's and WebP's own coarse shrinking is no antialiasing as PIL's.
      fastShrinkOnLoad: false,
    })
    .extract({ left: target.left, top: target.top, width: target.cropWidth, height: target.cropHeight });
  return pixelsOf(source);
}

async function pixelsOf({ image, cmyk }: Source): Promise<Pixels> {
  // Left alone, sharp would convert inks with a colour profile; PIL has a formula.
  if (cmyk) image.pipelineColourspace('cmyk').toColourspace('cmyk');
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels };
}

function withoutAlpha(pixels: Pixels, clear?: Source['keyColour']): Pixels {
  const channels = pixels.channels - 1;
  const data = new Uint8Array(pixels.width * pixels.height * channels);
  for (let at = 0, from = 0; at < data.length; at += channels, from += pixels.channels) {
    const colour = clear && pixels.data[from + channels] === 0 ? clear : pixels.data.subarray(from, from + channels);
    data.set(colour, at);
  }
  return { ...pixels, data, channels };
}

/** Pillow's cmyk2rgb: (255 - K)(255 - ink) / 255. */
function cmykToRgb(pixels: Pixels): Pixels {
  const data = new Uint8Array(pixels.width * pixels.height * 3);
  for (let at = 0, from = 0; at < data.length; from++) {
    const light = 255 - (pixels.data[from + 3] as number);
    for (let c = 0; c < 3; c++) {
      const product = (pixels.data[from++] as number) * light + 128;
      data[at++] = Math.max(0, light - (((product >> 8) + product) >> 8));
    }
  }
  return { ...pixels, data, channels: 3 };
}

/** (value / 255 - mean) / std, from interleaved to planar. Grey fills the three planes, alpha is dropped. */
function normalise({ data, channels }: Pixels, { mean, std }: ImageTransform, out: Float32Array): void {
  const plane = out.length / 3;
  const table = new Float32Array(256);
  for (let c = 0; c < 3; c++) {
    const m = Math.fround(mean[c] as number);
    const s = Math.fround(std[c] as number);
    for (let v = 0; v < 256; v++) table[v] = Math.fround(Math.fround(v / 255) - m) / s;
    const end = plane * (c + 1);
    for (let at = plane * c, from = channels < 3 ? 0 : c; at < end; at++, from += channels) {
      out[at] = table[data[from] as number] as number;
    }
  }
}

function damaged(name: string, error: unknown): ClipflowError {
  if (error instanceof ClipflowError) return error;
  const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
  return new ClipflowError(
    'INVALID_DOCUMENT',
    `The ${name} is damaged, truncated or of an unsupported kind: ${reason}`,
    {
      cause: error,
    },
  );
}
