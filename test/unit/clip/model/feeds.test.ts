import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { imageFeeds, imageSample, textFeeds } from '../../../../executors/clip/model/feeds.js';
import { decodeFloat16, encodeFloat16 } from '../../../../executors/clip/model/float16.js';
import { embeddingOutput, imageInputs, textInputs, type GraphValue } from '../../../../executors/clip/model/graph.js';
import { BufferPool, type TensorType } from '../../../../executors/clip/model/tensor.js';
import { expected, fixture, openSession } from './support.js';

const value = (name: string, type: string, ...shape: (number | string)[]): GraphValue => ({ name, type, shape });

/** What feeds need of a session. */
function graph(...inputs: GraphValue[]) {
  const pool = new BufferPool();
  return {
    inputs,
    allocate: <T extends TensorType>(type: T, length: number) => pool.allocate(type, length),
    free: (array: Float32Array<ArrayBuffer>) => pool.free(array),
  };
}

const texts = [Int32Array.of(7, 8, 9), Int32Array.of(7, 9)];

describe('textFeeds', () => {
  test('pads to the length, with the mask that the graph has', () => {
    const session = graph(value('input_ids', 'int32', 'n', 4), value('attention_mask', 'int64', 'n', 4));
    assert.deepEqual(textFeeds(session, texts, 4, 5), {
      input_ids: { type: 'int32', dims: [2, 4], data: Int32Array.of(7, 8, 9, 5, 7, 9, 5, 5) },
      attention_mask: { type: 'int64', dims: [2, 4], data: BigInt64Array.of(1n, 1n, 1n, 0n, 1n, 1n, 0n, 0n) },
    });
  });

  test('a text longer than that is refused, not cut', () => {
    const session = graph(value('text', 'int64', 'n', 'm'));
    assert.deepEqual(textFeeds(session, texts, 3, 0), {
      text: { type: 'int64', dims: [2, 3], data: BigInt64Array.of(7n, 8n, 9n, 7n, 9n, 0n) },
    });
    assert.throws(() => textFeeds(session, texts, 2, 0), { code: 'INTERNAL', message: /3 tokens.*2 to pad to/ });
  });

  test('an int64 graph without a mask, with a second output', async (t) => {
    const { ids, padId, embeddings } = expected.text;
    const session = await openSession(t, { path: fixture('text-int64.onnx') });
    assert.equal(session.output.name, 'text_embeds');
    const rows = ids.map((row) => Int32Array.from(row));
    const { dims, data } = await session.run(textFeeds(session, rows, 3, padId));
    assert.deepEqual(dims, [2, 4]);
    embeddings.flat().forEach((number, i) => assert.ok(Math.abs(number - (data[i] ?? NaN)) < 1e-6));
  });
});

describe('imageFeeds', () => {
  test('a float16 graph: converted in, and back', async (t) => {
    const session = await openSession(t, { path: fixture('image-float16.onnx'), sample: imageSample(8) });
    const { dims, data } = await session.run(imageFeeds(session, Float32Array.from(expected.image.pixels), 8));
    assert.deepEqual(dims, [2, 3]);
    assert.deepEqual([...data], expected.image.embeddings.flat());
    await session.warmUp([1, 3]);
  });

  test('for a float16 graph the float32 pixels are memory for the next batch', () => {
    const session = graph(value('image', 'float16', 'n', 3, 2, 2));
    const pixels = session.allocate('float32', 2 * 3 * 4);
    const feeds = imageFeeds(session, pixels, 2);
    assert.notEqual(feeds.image?.data.buffer, pixels.buffer);
    assert.equal(session.allocate('float32', 2 * 3 * 4).buffer, pixels.buffer);
  });

  test('float32 pixels are handed on, not copied', () => {
    const pixels = new Float32Array(2 * 3 * 4);
    const feeds = imageFeeds(graph(value('image', 'float32', 'n', 3, 2, 2)), pixels, 2);
    assert.equal(feeds.image?.data, pixels);
    assert.deepEqual(feeds.image.dims, [2, 3, 2, 2]);
  });

  test('a type that cannot be fed', () => {
    const session = graph(value('image', 'uint8', 'n', 3, 2, 2));
    const feed = () => imageFeeds(session, new Float32Array(12), 2);
    assert.throws(feed, { code: 'INVALID_MODEL', message: /image uint8\(n, 3, 2, 2\).*float32 or float16/ });
  });
});

describe('graphs', () => {
  const invalid = { code: 'INVALID_MODEL' };
  test('inputs that are not those of CLIP', () => {
    assert.throws(() => textInputs([]), invalid);
    assert.throws(
      () => textInputs([value('ids', 'int64', 'n', 77), value('pixels', 'float32', 'n', 3, 9, 9)]),
      invalid,
    );
    assert.throws(() => imageInputs([value('ids', 'int64', 'n', 77)]), invalid);
    assert.throws(() => imageInputs([value('image', 'float32', 2, 3, 9, 9)]), { message: /fixes the batch size/ });
  });

  test('which output is the embedding', () => {
    const hidden = value('last_hidden_state', 'float32', 'n', 'm', 512);
    const pooled = value('pooler_output', 'float32', 'n', 512);
    const embeds = value('image_embeds', 'float32', 'n', 512);
    assert.equal(embeddingOutput([pooled]), pooled);
    assert.equal(embeddingOutput([hidden, pooled]), pooled);
    assert.equal(embeddingOutput([hidden, pooled, embeds]), embeds);
    assert.throws(() => embeddingOutput([pooled, value('other', 'float32', 'n', 9)]), invalid);
  });
});

describe('float16', () => {
  const bitsOf = (floats: Float32Array) => [...new Uint32Array(floats.buffer)];
  const encode = (floats: Float32Array) => {
    const out = new Uint16Array(floats.length);
    encodeFloat16(floats, out);
    return out;
  };

  test('numpy agrees', () => {
    const floats = new Float32Array(Uint32Array.from(expected.float16.floats).buffer);
    assert.deepEqual([...encode(floats)], expected.float16.bits);
    const halves = Uint16Array.from({ length: expected.decoded.length }, (_, i) => i * 331);
    const isNumber = (half: number) => (half & 0x7fff) <= 0x7c00;
    const decoded = bitsOf(decodeFloat16(halves));
    halves.forEach((half, i) => isNumber(half) && assert.equal(decoded[i], expected.decoded[i]));
  });

  test('every float16 comes back as it was', () => {
    const halves = Uint16Array.from({ length: 1 << 16 }, (_, i) => i).filter((half) => (half & 0x7fff) <= 0x7c00);
    assert.deepEqual(encode(decodeFloat16(halves)), halves);
  });

  test('no float16 is nearer', () => {
    fc.assert(
      fc.property(fc.float({ min: Math.fround(-65504), max: Math.fround(65504), noNaN: true }), (number) => {
        const [half = 0] = encode(Float32Array.of(number));
        const error = (bits: number) => Math.abs(number - (decodeFloat16(Uint16Array.of(bits))[0] ?? NaN));
        const up = (half & 0x7fff) < 0x7bff ? error(half + 1) : Infinity;
        const down = (half & 0x7fff) > 0 ? error(half - 1) : Infinity;
        return error(half) <= Math.min(up, down);
      }),
    );
  });
});

describe('BufferPool', () => {
  test('gives the smallest that fits, keeps few', () => {
    const pool = new BufferPool();
    const buffers = [800, 100, 400, 200, 1600].map((bytes) => new ArrayBuffer(bytes));
    pool.release(buffers);
    const array = pool.allocate('float32', 60);
    assert.equal(array.buffer, buffers[2]);
    assert.equal(array.length, 60);
    assert.equal(pool.allocate('int64', 20).buffer, buffers[3]);
    assert.equal(pool.allocate('int32', 500).buffer.byteLength, 2000);
    assert.equal(pool.allocate('int32', 1).buffer, buffers[0]);
    assert.equal(pool.allocate('int32', 1).buffer, buffers[4]);
    assert.ok(!buffers.includes(pool.allocate('int32', 1).buffer));
  });
});
