import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { z } from 'zod';
import { ClipflowError } from '../../../src/errors.js';
import { Document } from '../../../src/document/document.js';
import { ndArrayToJson } from '../../../src/document/ndarray-json.js';
import { NdArray } from '../../../src/document/ndarray.js';
import { DOCUMENT, jsonFixture, oracleEncode } from './support.js';

/** What docarray 0.21 and numpy made of arrays of every type. */
const { arrays } = z
  .object({
    arrays: z.array(z.object({ dtype: z.string(), shape: z.array(z.number()), document: z.string(), list: z.json() })),
  })
  .parse(jsonFixture('document/docarray.json'));

function invalidDocument(pattern: RegExp) {
  return (error: unknown) =>
    error instanceof ClipflowError && error.code === 'INVALID_DOCUMENT' && pattern.test(error.message);
}

describe('NdArray', () => {
  for (const { dtype, shape, document, list } of arrays) {
    test(`reads numpy's ${dtype} of shape [${shape.join(', ')}]`, () => {
      const { embedding } = Document.fromBytes(Buffer.from(document, 'base64'));
      assert.ok(embedding);
      assert.deepEqual([embedding.dtype, embedding.shape, embedding.clsName], [dtype, shape, 'numpy']);
      assert.deepEqual(ndArrayToJson(embedding), list);
      const flat = [list].flat(5).map(Number);
      assert.deepEqual([...embedding.toFloat32()], [...Float32Array.from(flat)]);
    });
  }

  test('toFloat32 is a view where it can be', () => {
    const floats = Float32Array.of(1, 2, 3);
    const array = NdArray.fromFloat32(floats);
    assert.deepEqual([array.shape, array.dtype, array.clsName], [[3], '<f4', 'numpy']);
    assert.equal(array.toFloat32().buffer, floats.buffer);
    const shifted = new Uint8Array(13);
    shifted.set(array.buffer, 1);
    assert.deepEqual(new NdArray(shifted.subarray(1), [3], '<f4').toFloat32(), floats);
  });

  test('a big-endian array is not changed by being read', () => {
    const array = new NdArray(Uint8Array.of(0x3f, 0x80, 0, 0), [1], '>f4');
    assert.deepEqual([[...array.toFloat32()], [...array.toFloat32()]], [[1], [1]]);
  });

  test('a buffer that does not fit its shape is an error that says so', () => {
    const short = new NdArray(new Uint8Array(7), [2], '<f4');
    assert.throws(() => short.toFloat32(), invalidDocument(/7 bytes does not fit its shape: 2 elements of <f4 take 8/));
  });

  test('a dtype that is not numeric is an error that names it', () => {
    for (const dtype of ['<U1', '|O', 'f4', '', '<f3', '<constructor']) {
      assert.throws(() => new NdArray(new Uint8Array(4), [1], dtype).toFloat32(), invalidDocument(/is not numeric/));
    }
  });

  test('a sparse array is an error', () => {
    const bytes = oracleEncode(DOCUMENT, { embedding: { sparse: { shape: [2, 2] }, cls_name: 'scipy' } });
    assert.throws(
      () => Document.fromBytes(bytes).embedding,
      invalidDocument(/DocumentProto\.embedding: a sparse array is not supported/),
    );
  });

  test('a shape alone cannot ask for billions of empty lists', () => {
    const array = new NdArray(new Uint8Array(0), [0xffffffff, 0], '<f4');
    assert.throws(() => ndArrayToJson(array), invalidDocument(/has no JSON/));
  });
});
