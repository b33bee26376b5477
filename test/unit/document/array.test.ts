import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ClipflowError } from '../../../src/errors.js';
import { framedLength, joinedLength, splitDocuments, writeDocuments } from '../../../src/document/array.js';
import { Document } from '../../../src/document/document.js';
import { ARRAY, content, DOCUMENT, oracleDecode, oracleEncode, plainInit } from './support.js';

const documents = fc.array(
  fc.tuple(plainInit, content).map(([plain, held]) => new Document({ ...plain, ...held }).toBytes()),
  { maxLength: 6 },
);

function joinDocuments(docs: readonly Uint8Array[]): Uint8Array {
  const array = new Uint8Array(joinedLength(docs));
  writeDocuments(array, 0, docs);
  return array;
}

describe('a DocumentArrayProto as bytes', () => {
  test('joining bytes equals encoding the decoded documents', () => {
    fc.assert(
      fc.property(documents, (docs) => {
        const decoded = docs.map((doc) => oracleDecode(DOCUMENT, doc));
        assert.deepEqual(oracleDecode(ARRAY, joinDocuments(docs)), docs.length > 0 ? { docs: decoded } : {});
      }),
    );
  });

  test('splitting what the oracle encoded gives its documents, as views', () => {
    fc.assert(
      fc.property(documents, (docs) => {
        const decoded = docs.map((doc) => oracleDecode(DOCUMENT, doc));
        const array = oracleEncode(ARRAY, { docs: decoded });
        const split = splitDocuments(array);
        assert.deepEqual(
          split.map((doc) => oracleDecode(DOCUMENT, doc)),
          decoded,
        );
        assert.ok(split.every((doc) => doc.buffer === array.buffer));
      }),
    );
  });

  test('documents can be cut anywhere and joined again in another order', () => {
    fc.assert(
      fc.property(documents, fc.nat(), (docs, cut) => {
        const at = docs.length > 0 ? cut % docs.length : 0;
        const turned = [...docs.slice(at), ...docs.slice(0, at)];
        assert.deepEqual(splitDocuments(joinDocuments(turned)), turned);
      }),
    );
  });

  test('frames are right at the steps of the length', () => {
    for (const length of [0, 127, 128, 16383, 16384, 2097152]) {
      const array = joinDocuments([new Uint8Array(length)]);
      assert.equal(array.length, framedLength(length));
      assert.equal(splitDocuments(array)[0]?.length, length);
    }
  });

  test('cut or random bytes are INVALID_REQUEST', () => {
    const array = joinDocuments([new Document({ id: 'abc' }).toBytes()]);
    assert.throws(
      () => splitDocuments(array.subarray(0, 4)),
      /DocumentArrayProto: is cut short at byte 0 of 4 \(field 1\)/,
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          splitDocuments(bytes);
        } catch (error) {
          assert.ok(error instanceof ClipflowError && error.code === 'INVALID_REQUEST', String(error));
        }
      }),
      { numRuns: 1000 },
    );
  });
});
