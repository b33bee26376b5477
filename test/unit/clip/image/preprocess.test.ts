import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { preprocessImage } from '../../../../executors/clip/image/preprocess.js';
import { ClipflowError, type ErrorCode } from '../../../../src/errors.js';
import { CLIP, difference, expected, outputFor, PIXELS, readFixture } from './fixtures.js';

/** Bounds on the difference to PIL in steps of 0..255, each a little above what was measured. */
const RESIZED_BY_SHARP = { mean: 0.35, max: 12 };
const BOUNDS: Record<string, { mean: number; max: number }> = {
  // Squashed with different factors per axis.
  'odd.jpg squash': { mean: 0.55, max: 10 },
  // The lowest byte is rounded in, where PIL cuts it off before resizing.
  'rgb16.png': { mean: 0.4, max: 20 },
  // PIL multiplies alpha in and out with 8 bits, so its nearly clear pixels have few colours.
  'rgba.png': { mean: 1.5, max: 255 },
  'alpha.webp': { mean: 1.5, max: 255 },
  'la.png': { mean: 1.5, max: 120 },
  // Another YUV to RGB conversion (libheif against libavif).
  'rgb.avif': { mean: 2.1, max: 22 },
};
/** What is resampled here instead of by sharp has to be PIL's answer to the last bit. */
const EXACT = /^(pixel|exact|upscale|wide|tall|bits\d|palette|palette-alpha|.*key)\.png$|\.gif$/;

async function pixelsOf(bytes: Uint8Array, transform = PIXELS): Promise<Float32Array> {
  const out = outputFor(transform);
  await preprocessImage(bytes, transform, out);
  return out;
}

function rejects(bytes: Uint8Array, code: ErrorCode, message: RegExp, transform = PIXELS): Promise<void> {
  return assert.rejects(pixelsOf(bytes, transform), (error: unknown) => {
    assert.ok(error instanceof ClipflowError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
}

describe('preprocessing as PIL does it', () => {
  for (const { file, mode, resize, interpolation, pixels } of expected.cases) {
    if (file === 'grey16.png') continue;
    test(`${file} (${mode}), ${resize}, ${interpolation}`, async (t) => {
      const { mean, max } = difference(await pixelsOf(readFixture(file), { ...PIXELS, resize, interpolation }), pixels);
      t.diagnostic(`${file.padEnd(18)} ${mode.padEnd(5)} mean ${mean.toFixed(3)} max ${max.toFixed(0)}`);
      const inexact = BOUNDS[`${file} ${resize}`] ?? BOUNDS[file] ?? RESIZED_BY_SHARP;
      // Multiplying by 1/255 and back leaves a float's rounding.
      const bound = EXACT.test(file) ? { mean: 1e-4, max: 1e-3 } : inexact;
      assert.ok(mean <= bound.mean && max <= bound.max, `mean ${mean}, max ${max}`);
    });
  }

  test('16-bit grey is scaled to 8 bits, where PIL clips it to white', async () => {
    const grey = expected.cases.find(({ file }) => file === 'grey.png');
    const { mean, max } = difference(await pixelsOf(readFixture('grey16.png')), grey?.pixels ?? new Uint8Array());
    assert.ok(mean <= 0.4 && max <= 8, `mean ${mean}, max ${max}`);
  });

  test('normalisation is (value / 255 - mean) / std per channel, planar', async () => {
    const value = [200, 100, 50]; // what pixel.png is filled with
    const out = await pixelsOf(readFixture('pixel.png'), CLIP);
    const plane = out.length / 3;
    out.forEach((got, i) => {
      const c = Math.floor(i / plane);
      const want = ((value[c] ?? NaN) / 255 - (CLIP.mean[c] ?? NaN)) / (CLIP.std[c] ?? NaN);
      assert.ok(Math.abs(got - want) < 1e-5, `channel ${c}: ${got}, not ${want}`);
    });
  });
});

describe('images that are refused', () => {
  for (const { name, file, keep, append, accepted } of expected.broken) {
    test(`${name}: ${accepted ? 'decoded' : 'refused'}, as by PIL`, async () => {
      const bytes = Buffer.concat([readFixture(file).subarray(0, keep), Buffer.from(append, 'latin1')]);
      if (accepted) await pixelsOf(bytes);
      else await rejects(bytes, 'INVALID_DOCUMENT', /damaged, truncated/);
    });
  }

  const texts: [string, string | Uint8Array, RegExp][] = [
    ['nothing', '', /zero bytes/],
    ['text', 'hello world', /68 65 6c 6c 6f 20 77 6f.*plain text.*jpeg, png/],
    ['an HTML page', '<!DOCTYPE html><html></html>', /an HTML page/],
    ['an SVG', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', /an SVG/],
    ['an SVG with a prolog', '<?xml version="1.0"?><svg width="9" height="9"/>', /an SVG/],
    ['a PDF', '%PDF-1.7 ...', /a PDF/],
    ['a BMP', 'BM\x36\0\0\0', /a BMP image/],
    ['a HEIC', '\0\0\0\x18ftypheic', /a HEIC image/],
    ['one byte', new Uint8Array([7]), /\(07\)/],
  ];
  for (const [name, bytes, message] of texts) {
    test(`${name}: the error says what it looks like`, () =>
      rejects(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, 'INVALID_DOCUMENT', message));
  }

  test('a header of 50,000 x 50,000 pixels is refused before anything is decoded', async () => {
    const bomb = Buffer.from(readFixture('rgb.png').subarray(0, 64));
    bomb.writeUInt32BE(50_000, 16);
    bomb.writeUInt32BE(50_000, 20);
    bomb.writeUInt32BE(crc32(bomb.subarray(12, 29)), 29);
    await rejects(bomb, 'PAYLOAD_TOO_LARGE', /50000 x 50000 = 2500000000 pixels; the limit is 178956970/);
  });

  test('the limits are inclusive', async () => {
    const bytes = readFixture('exact.png');
    const limits = { pixels: 64 * 64, bytes: bytes.length };
    await pixelsOf(bytes, { ...PIXELS, limits });
    await rejects(bytes, 'PAYLOAD_TOO_LARGE', /4096 pixels; the limit is 4095/, {
      ...PIXELS,
      limits: { ...limits, pixels: 4095 },
    });
    await rejects(bytes, 'PAYLOAD_TOO_LARGE', /bytes; the limit is/, {
      ...PIXELS,
      limits: { ...limits, bytes: bytes.length - 1 },
    });
  });

  test('damaged bytes give a result or a ClipflowError, never anything else', async () => {
    const files = ['grey.png', 'still.gif', 'rgb.avif', 'lossy.webp', 'progressive.jpg', 'rgb.tiff', 'key.png'];
    const samples = files.map(readFixture);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...samples), fc.nat(), fc.nat(255), fc.nat(), async (sample, at, value, cut) => {
        const bytes = Buffer.from(sample);
        bytes[at % bytes.length] = value;
        const kept = bytes.subarray(0, cut % 2 === 0 ? bytes.length : cut % bytes.length);
        await pixelsOf(kept, { ...PIXELS, limits: { pixels: 1_000_000, bytes: 1_000_000 } }).catch((error: unknown) => {
          if (!(error instanceof ClipflowError) || error.code === 'INTERNAL') throw error;
        });
      }),
      { numRuns: 60 },
    );
  });
});

/** PNG's checksum (ISO 3309); node:zlib has none in Node 20.11. */
function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
