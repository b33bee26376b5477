import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { z } from 'zod';
import { preprocessImage } from '../../../../executors/clip/image/preprocess.js';
import { CLIP, expected, outputFor, readFixture, readModel } from './fixtures.js';

const embeddings = z
  .record(z.string(), z.array(z.number()))
  .parse(JSON.parse(readFixture('embeddings.json').toString()));
const reference = z
  .object({ images: z.array(z.object({ file: z.string(), norm: z.number(), first16: z.array(z.number()) })) })
  .parse(JSON.parse(readModel('reference.json').toString()));

const session = await InferenceSession.create(readModel('visual.onnx'), { intraOpNumThreads: 1 });

async function embed(pixels: Float32Array): Promise<Float32Array> {
  const { output } = await session.run({ pixel_values: new Tensor('float32', pixels, [1, 3, CLIP.size, CLIP.size]) });
  assert.ok(output?.data instanceof Float32Array);
  return output.data;
}

async function embedImage(bytes: Uint8Array): Promise<Float32Array> {
  const pixels = outputFor(CLIP);
  await preprocessImage(bytes, CLIP, pixels);
  return embed(pixels);
}

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const dot = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    Array.from(x).reduce((sum, value, i) => sum + value * (y[i] ?? NaN), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

test('embeddings of the samples are those of PIL and Python', async (t) => {
  const cosines: number[] = [];
  for (const [file, want] of Object.entries(embeddings)) {
    const value = cosine(await embedImage(readModel(`samples/${file}`)), want);
    cosines.push(value);
    t.diagnostic(`${file} cosine ${value.toFixed(6)}`);
  }
  cosines.sort((a, b) => a - b);
  const median = cosines[cosines.length >> 1] ?? NaN;
  t.diagnostic(`median ${median.toFixed(6)} lowest ${cosines[0]?.toFixed(6)}`);
  assert.equal(cosines.length, 24);
  assert.ok((cosines[0] ?? NaN) >= 0.9995, `lowest ${cosines[0]}`);
  assert.ok(median >= 0.9999, `median ${median}`);
});

test('embeddings agree with the reference that ships with the model', async () => {
  for (const { file, norm, first16 } of reference.images) {
    const got = await embedImage(readModel(file));
    // 2e-2 is the tolerance that reference.json names for resizers other than PIL's.
    assert.ok(Math.abs(Math.hypot(...got) / norm - 1) < 2e-2, file);
    assert.ok(cosine(got.subarray(0, 16), first16) > 0.999, file);
  }
});

test('of every kind of file, the embedding is that of the pixels PIL makes', async (t) => {
  for (const { file, resize, interpolation, pixels } of expected.cases) {
    if (resize === 'squash' || interpolation === 'bilinear' || file === 'grey16.png') continue;
    const plane = CLIP.size * CLIP.size;
    const want = Float32Array.from({ length: 3 * plane }, (_, i) => {
      const c = Math.floor(i / plane);
      return ((pixels[(i % plane) * 3 + c] ?? NaN) / 255 - (CLIP.mean[c] ?? NaN)) / (CLIP.std[c] ?? NaN);
    });
    const value = cosine(await embedImage(readFixture(file)), await embed(want));
    t.diagnostic(`${file.padEnd(18)} cosine ${value.toFixed(6)}`);
    assert.ok(value >= 0.99, `${file}: ${value}`);
  }
});
