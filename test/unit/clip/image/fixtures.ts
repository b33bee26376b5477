import { readFileSync } from 'node:fs';
import { inflateSync } from 'node:zlib';
import { z } from 'zod';
import type { ImageTransform } from '../../../../executors/clip/image/preprocess.js';

// Compiled to dist/test/unit/clip/image; the fixtures stay in the source tree.
const ROOT = new URL('../../../../../', import.meta.url);

export function readFixture(path: string): Buffer {
  return readFileSync(new URL(`test/fixtures/images/${path}`, ROOT));
}

export function readModel(path: string): Buffer {
  return readFileSync(new URL(`models/tiny-clip/${path}`, ROOT));
}

const Case = z.object({
  file: z.string(),
  mode: z.string(),
  resize: z.enum(['shorter', 'squash']),
  interpolation: z.enum(['bicubic', 'bilinear']),
  pixels: z.string().transform((text) => inflateSync(Buffer.from(text, 'base64'))),
});
const Broken = z.object({
  name: z.string(),
  file: z.string(),
  keep: z.number(),
  append: z.string(),
  accepted: z.boolean(),
});

/** What PIL made of the fixtures (test/fixtures/images/make.py). */
export const expected = z
  .object({ size: z.number(), cases: z.array(Case), broken: z.array(Broken) })
  .parse(JSON.parse(readFixture('expected.json').toString()));

/** A transform whose result is the pixel values 0..255 themselves. */
export const PIXELS: ImageTransform = {
  size: expected.size,
  mean: [0, 0, 0],
  std: [1 / 255, 1 / 255, 1 / 255],
  resize: 'shorter',
  interpolation: 'bicubic',
  limits: { pixels: 178_956_970, bytes: 10_000_000 },
};

/** OpenAI's normalisation at the tiny model's size. */
export const CLIP: ImageTransform = {
  ...PIXELS,
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};

export function outputFor({ size }: ImageTransform): Float32Array {
  return new Float32Array(3 * size * size);
}

/** Mean and maximum absolute difference between a planar result of `PIXELS` and interleaved RGB. */
export function difference(planar: Float32Array, rgb: Uint8Array): { mean: number; max: number } {
  const plane = planar.length / 3;
  const differences = planar.map((value, i) => Math.abs(value - (rgb[(i % plane) * 3 + Math.floor(i / plane)] ?? NaN)));
  return { mean: differences.reduce((a, b) => a + b, 0) / planar.length, max: Math.max(...differences) };
}
