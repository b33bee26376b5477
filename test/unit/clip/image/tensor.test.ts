import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { preprocessTensor } from '../../../../executors/clip/image/tensor.js';
import { sharp } from '../../../../executors/clip/image/sharp.js';
import { NdArray } from '../../../../src/document/ndarray.js';
import { ClipflowError, type ErrorCode } from '../../../../src/errors.js';
import { difference, expected, outputFor, PIXELS, readFixture } from './fixtures.js';

async function pixelsOf(tensor: NdArray, transform = PIXELS): Promise<Float32Array> {
  const out = outputFor(transform);
  await preprocessTensor(tensor, transform, out);
  return out;
}

/** A picture of one pixel is enlarged to itself, so the result shows what its values became. */
async function castOf(dtype: string, bytes: ArrayBuffer | Uint8Array, shape = [1, 1, 3]): Promise<number[]> {
  const out = await pixelsOf(new NdArray(new Uint8Array(bytes), shape, dtype));
  return [0, 1, 2].map((c) => Math.round(out[(c * out.length) / 3] ?? NaN));
}

function rejects(tensor: NdArray, code: ErrorCode, message: RegExp, transform = PIXELS): Promise<void> {
  return assert.rejects(pixelsOf(tensor, transform), (error: unknown) => {
    assert.ok(error instanceof ClipflowError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
}

describe('pictures as numbers', () => {
  test('go the way of the same picture as a file', async () => {
    for (const file of ['rgb.png', 'grey.png']) {
      const { data, info } = await sharp(readFixture(file)).raw().toBuffer({ resolveWithObject: true });
      const want = expected.cases.find((c) => c.file === file)?.pixels ?? new Uint8Array();
      const out = await pixelsOf(new NdArray(data, [info.height, info.width, info.channels], '|u1'));
      const { mean, max } = difference(out, want);
      assert.ok(mean <= 0.3 && max <= 10, `${file}: mean ${mean}, max ${max}`);
    }
  });

  test('floats are truncated and not scaled, as by numpy.astype(uint8)', async () => {
    // numpy: np.array([0.99, 254.9, 128.5]).astype(np.uint8) -> [0, 254, 128]
    assert.deepEqual(await castOf('<f4', new Float32Array([0.99, 254.9, 128.5]).buffer), [0, 254, 128]);
    assert.deepEqual(await castOf('<f8', new Float64Array([0.99, 254.9, 128.5]).buffer), [0, 254, 128]);
    // numpy: np.array([300, -1, 7]).astype(np.uint8) -> [44, 255, 7], as int64, int32, int16 and float32
    assert.deepEqual(await castOf('<i8', new BigInt64Array([300n, -1n, 7n]).buffer), [44, 255, 7]);
    assert.deepEqual(await castOf('<i4', new Int32Array([300, -1, 7]).buffer), [44, 255, 7]);
    assert.deepEqual(await castOf('<i2', new Int16Array([300, -1, 7]).buffer), [44, 255, 7]);
    assert.deepEqual(await castOf('<f4', new Float32Array([300, -1, 7]).buffer), [44, 255, 7]);
    // numpy: np.array([1.5, 100, 255], '<f2').tobytes().hex() -> '003e4056f85b'
    assert.deepEqual(await castOf('<f2', Buffer.from('003e4056f85b', 'hex')), [1, 100, 255]);
    assert.deepEqual(await castOf('>u2', Buffer.from('000700080009', 'hex')), [7, 8, 9]);
    assert.deepEqual(await castOf('|b1', new Uint8Array([1, 0, 1])), [1, 0, 1]);
  });

  test('one channel is grey, a fourth is ignored, single axes are squeezed', async () => {
    assert.deepEqual(await castOf('|u1', new Uint8Array([90]), [1, 1]), [90, 90, 90]);
    assert.deepEqual(await castOf('|u1', new Uint8Array([90]), [1, 1, 1]), [90, 90, 90]);
    assert.deepEqual(await castOf('|u1', new Uint8Array([10, 20, 30, 0]), [1, 1, 4]), [10, 20, 30]);
    const batchOfOne = new NdArray(new Uint8Array(12).fill(50), [1, 2, 2, 3], '|u1');
    assert.ok((await pixelsOf(batchOfOne)).every((value) => Math.round(value) === 50));
  });

  test('unaligned and misfit buffers', async () => {
    const bytes = new Uint8Array(13);
    new DataView(bytes.buffer).setFloat32(1, 77, true);
    assert.deepEqual(await castOf('<f4', bytes.subarray(1)), [77, 0, 0]);
    await rejects(new NdArray(new Uint8Array(5), [2, 2], '|u1'), 'INVALID_DOCUMENT', /5 bytes.*4 elements/);
  });

  test('what is no picture is refused with its shape or dtype', async () => {
    const buffer = new Uint8Array(12);
    await rejects(new NdArray(buffer, [3, 2, 2], '|u1'), 'INVALID_DOCUMENT', /\[3, 2, 2\].*channels last/);
    await rejects(new NdArray(buffer, [12], '|u1'), 'INVALID_DOCUMENT', /\[12\]/);
    await rejects(new NdArray(buffer, [0, 2, 3], '|u1'), 'INVALID_DOCUMENT', /\[0, 2, 3\]/);
    await rejects(new NdArray(buffer, [2, 2, 3], '<c8'), 'INVALID_DOCUMENT', /dtype "<c8"/);
    const limits = { pixels: 3, bytes: 100 };
    await rejects(new NdArray(buffer, [2, 2, 3], '|u1'), 'PAYLOAD_TOO_LARGE', /limit is 3/, { ...PIXELS, limits });
  });
});
