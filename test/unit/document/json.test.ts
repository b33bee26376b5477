import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { z } from 'zod';
import { Document, type DocumentInit } from '../../../src/document/document.js';
import { documentFromJson, documentToJson } from '../../../src/document/json.js';
import { ValidationError } from '../../../src/document/validation-error.js';
import { content, jsonFixture, oracleDecode, DOCUMENT, plainInit } from './support.js';

/** What docarray 0.21 itself made of these JSON documents, and printed of the result. */
const { documents } = z
  .object({
    documents: z.array(
      z.object({
        json: z.record(z.string(), z.json()),
        document: z.string(),
        dict: z.record(z.string(), z.json()),
      }),
    ),
  })
  .parse(jsonFixture('document/docarray.json'));

function details(value: unknown): unknown {
  try {
    documentFromJson(value, ['body', 'data', 0]);
  } catch (error) {
    assert.ok(error instanceof ValidationError, String(error));
    assert.equal(error.code, 'INVALID_REQUEST');
    return error.details;
  }
  return assert.fail(`${JSON.stringify(value)} was accepted`);
}

describe('documents in JSON', () => {
  for (const { json, document, dict } of documents) {
    test(`as docarray: ${JSON.stringify(json)}`, () => {
      const ours = documentFromJson(json, []).toBytes();
      assert.deepEqual(documentToJson(Document.fromBytes(ours)), withoutGuesses(dict, json));
      // Whole numbers of a byte are kept as bytes, see ndArrayFromJson; all else is the same message.
      if (Document.fromBytes(ours).tensor?.dtype === '|u1') return;
      const expected = oracleDecode(DOCUMENT, Buffer.from(document, 'base64')) as Record<string, unknown>;
      if (json['mime_type'] == null) delete expected['mime_type'];
      assert.deepEqual(oracleDecode(DOCUMENT, ours), expected);
    });
  }

  /** docarray guesses the mime type of a uri when it is set; the server does when it fetches it. */
  function withoutGuesses(dict: Record<string, unknown>, json: Record<string, unknown>): Record<string, unknown> {
    return { ...dict, mime_type: json['mime_type'] ?? null };
  }

  test('JSON of a document read again is the same document', () => {
    const inits = fc.tuple(plainInit, content).map(([plain, held]): DocumentInit => ({ ...plain, ...held }));
    fc.assert(
      fc.property(inits, fc.array(inits, { maxLength: 2 }), (init, nested) => {
        const document = new Document({ ...init, matches: nested.map((match) => new Document(match)) });
        const json = documentToJson(document);
        const text = JSON.stringify(json);
        assert.deepEqual(documentToJson(documentFromJson(JSON.parse(text), [])), JSON.parse(text));
      }),
    );
  });

  test('every key is there, null when absent', () => {
    assert.deepEqual(documentToJson(new Document({ id: 'a', text: '' })), {
      ...{ id: 'a', parent_id: null, granularity: null, adjacency: null, blob: null, tensor: null, mime_type: null },
      ...{ text: null, weight: null, uri: null, tags: null, offset: null, location: null, embedding: null },
      ...{ modality: null, evaluations: null, scores: null, chunks: null, matches: null },
    });
  });

  test('a bare string is a text or a uri', () => {
    assert.equal(documentFromJson('a cat', []).text, 'a cat');
    for (const uri of ['http://a/b', 'https://a/b', 'data:image/png;base64,AA==']) {
      const document = documentFromJson(uri, []);
      assert.deepEqual([document.uri, document.text, document.contentKind], [uri, undefined, 'uri']);
    }
  });

  test('camelCase twins, missing id, zero values of typed clients', () => {
    const document = documentFromJson({ mimeType: 'image/png', parentId: 'p', text: 'a', blob: '' }, []);
    assert.deepEqual([document.mimeType, document.parentId, document.contentKind], ['image/png', 'p', 'text']);
    assert.match(document.id, /^[0-9a-f]{32}$/);
    assert.match(documentFromJson({ id: null }, []).id, /^[0-9a-f]{32}$/);
  });

  test('a wrong type is an error in the shape of FastAPI', () => {
    const cases: [unknown, (string | number)[], string, string][] = [
      [{ text: 5 }, ['text'], 'str type expected', 'type_error.str'],
      [{ granularity: 'x' }, ['granularity'], 'value is not a valid integer', 'type_error.integer'],
      [
        { granularity: -1 },
        ['granularity'],
        'ensure this value is greater than or equal to 0',
        'value_error.number.not_ge',
      ],
      [{ weight: 'x' }, ['weight'], 'value is not a valid float', 'type_error.float'],
      [{ tags: [1] }, ['tags'], 'value is not a valid dict', 'type_error.dict'],
      [{ location: 'a' }, ['location'], 'value is not a valid list', 'type_error.list'],
      [{ location: [1, 'a'] }, ['location', 1], 'value is not a valid float', 'type_error.float'],
      [{ scores: { a: 5 } }, ['scores', 'a'], 'value is not a valid dict', 'type_error.dict'],
      [{ scores: { a: { value: 'x' } } }, ['scores', 'a', 'value'], 'value is not a valid float', 'type_error.float'],
      [{ chunks: { a: 1 } }, ['chunks'], 'value is not a valid list', 'type_error.list'],
      [{ matches: [{}, { text: 5 }] }, ['matches', 1, 'text'], 'str type expected', 'type_error.str'],
      [{ matches: [7] }, ['matches', 0], 'value is not a valid dict', 'type_error.dict'],
      [{ tensor: 'abc' }, ['tensor'], 'value is not a valid list', 'type_error.list'],
      [{ tensor: [1, 'a'] }, ['tensor', 1], 'value is not a valid float', 'type_error.float'],
      [{ embedding: [1, null] }, ['embedding', 1], 'value is not a valid float', 'type_error.float'],
      [{ tensor: [[1], [2, 3]] }, ['tensor', 1], 'ragged array: expected 1 values, got 2', 'value_error'],
      [{ blob: '@@@@' }, ['blob'], 'value is not valid base64', 'value_error'],
      [{ blob: 'YWI' }, ['blob'], 'value is not valid base64', 'value_error'],
      [5, [], 'value is not a valid dict', 'type_error.dict'],
      [[1], [], 'value is not a valid dict', 'type_error.dict'],
    ];
    for (const [value, loc, msg, type] of cases) {
      assert.deepEqual(details(value), [{ loc: ['body', 'data', 0, ...loc], msg, type }], JSON.stringify(value));
    }
  });

  test('the message of the error says where too', () => {
    assert.throws(() => documentFromJson({ text: 5 }, ['body', 'data', 0]), {
      message: 'body.data[0].text: str type expected',
    });
  });

  test('nesting without end is an error, not an overflow', () => {
    let deep: unknown = {};
    for (let i = 0; i < 20_000; i++) deep = { chunks: [deep] };
    assert.throws(() => documentFromJson(deep, []), ValidationError);
    let list: unknown = 1;
    for (let i = 0; i < 20_000; i++) list = [list];
    assert.throws(() => documentFromJson({ tensor: list }, []), ValidationError);
    assert.throws(() => documentFromJson({ tags: { list } }, []).toBytes(), { code: 'INVALID_DOCUMENT' });
    let bytes = new Document({ id: '' }).toBytes();
    for (let i = 0; i < 200; i++) bytes = new Document({ id: 'a', chunks: [Document.fromBytes(bytes)] }).toBytes();
    assert.throws(() => documentToJson(Document.fromBytes(bytes)), { code: 'INVALID_DOCUMENT' });
  });

  test('any JSON is a document or a ValidationError', () => {
    const keys = fc.constantFrom('id', 'text', 'blob', 'tensor', 'tags', 'scores', 'chunks', 'granularity', 'location');
    const value = fc.oneof(fc.jsonValue(), fc.dictionary(keys, fc.jsonValue({ maxDepth: 3 })));
    fc.assert(
      fc.property(value, (json) => {
        try {
          documentFromJson(json, ['body']).toBytes();
        } catch (error) {
          assert.ok(error instanceof ValidationError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
});
