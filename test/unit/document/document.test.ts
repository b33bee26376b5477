import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ClipflowError } from '../../../src/errors.js';
import { Document, type DocumentInit } from '../../../src/document/document.js';
import { NdArray } from '../../../src/document/ndarray.js';
import { peek } from '../../../src/document/peek.js';
import { content, DOCUMENT, oracleDecode, oracleEncode, plainInit } from './support.js';

const inits = fc
  .tuple(plainInit, content)
  .map(([plain, held]): DocumentInit => ({ id: 'generated', ...plain, ...held }));

/** An init whose chunks and matches are documents of their own. */
const nestedInits = fc
  .tuple(inits, fc.array(inits, { maxLength: 3 }), fc.array(inits, { maxLength: 3 }))
  .map(([init, chunks, matches]): DocumentInit => ({
    ...init,
    chunks: chunks.map((chunk) => new Document(chunk)),
    matches: matches.map((match) => new Document(match)),
  }));

const PROPERTIES = [
  ...['id', 'text', 'blob', 'tensor', 'granularity', 'adjacency', 'parentId', 'weight', 'uri', 'modality', 'mimeType'],
  ...['offset', 'location', 'embedding', 'tags', 'scores', 'evaluations'],
] as const;

function properties(document: Document): object {
  const own = Object.fromEntries(PROPERTIES.map((name) => [name, document[name]]));
  return { ...own, chunks: document.chunks.map(properties), matches: document.matches.map(properties) };
}

describe('Document', () => {
  test('decode(encode(x)) = x for every property', () => {
    fc.assert(
      fc.property(nestedInits, (init) => {
        const document = new Document(init);
        assert.deepEqual(properties(Document.fromBytes(document.toBytes())), properties(document));
      }),
    );
  });

  test('the oracle reads what was written', () => {
    const document = new Document({
      id: 'd',
      text: 'grüße',
      granularity: 1,
      adjacency: 4294967295,
      parentId: 'p',
      weight: 0.5,
      uri: 'u',
      modality: 'm',
      mimeType: 'text/plain',
      offset: -1.5,
      location: [1, 2.5],
      chunks: [new Document({ id: 'c', blob: new Uint8Array(0) })],
      matches: [new Document({ id: 'm', tensor: new NdArray(Uint8Array.of(1, 2), [2, 1], '|u1') })],
      embedding: NdArray.fromFloat32(Float32Array.of(1)),
      tags: { a: [null, true, 2, { b: 'c' }] },
      scores: { cosine: { value: 0.25, opName: 'op', description: 'd', refId: 'r' }, zero: { value: 0 } },
      evaluations: { e: { value: -1 } },
    });
    assert.deepEqual(oracleDecode(DOCUMENT, document.toBytes()), {
      id: 'd',
      text: 'grüße',
      granularity: 1,
      adjacency: 4294967295,
      parent_id: 'p',
      weight: 0.5,
      uri: 'u',
      modality: 'm',
      mime_type: 'text/plain',
      offset: -1.5,
      location: [1, 2.5],
      chunks: [{ id: 'c', blob: '' }],
      matches: [{ id: 'm', tensor: { dense: { buffer: 'AQI=', shape: [2, 1], dtype: '|u1' }, cls_name: 'numpy' } }],
      embedding: { dense: { buffer: 'AACAPw==', shape: [1], dtype: '<f4' }, cls_name: 'numpy' },
      tags: { a: [null, true, 2, { b: 'c' }] },
      scores: { cosine: { value: 0.25, op_name: 'op', description: 'd', ref_id: 'r' }, zero: {} },
      evaluations: { e: { value: -1 } },
    });
  });

  test('a new document has an id of 32 hex digits, a decoded one only what it came with', () => {
    assert.match(new Document().id, /^[0-9a-f]{32}$/);
    assert.notEqual(new Document().id, new Document().id);
    assert.equal(Document.fromBytes(new Uint8Array(0)).id, '');
    assert.equal(new Document({ id: '' }).id, '');
  });

  test('unchanged, also when every property was read, it is the very bytes it came as', () => {
    fc.assert(
      fc.property(nestedInits, (init) => {
        const bytes = new Document(init).toBytes();
        const document = Document.fromBytes(bytes);
        properties(document);
        assert.equal(document.toBytes(), bytes);
      }),
    );
  });

  test('changed lazily equals changed eagerly, as the oracle sees it', () => {
    fc.assert(
      fc.property(nestedInits, inits, fc.subarray([...PROPERTIES]), (init, change, read) => {
        const came = new Document(init).toBytes();
        const lazy = Document.fromBytes(came);
        for (const name of read) void lazy[name];
        Object.assign(lazy, change);
        // A later member of the oneof replaces an earlier one in the eager document too.
        const eager = Object.assign(new Document(init), change);
        assert.deepEqual(oracleDecode(DOCUMENT, lazy.toBytes()), oracleDecode(DOCUMENT, eager.toBytes()));
      }),
    );
  });

  test('changes made in place to what was read are written', () => {
    const document = Document.fromBytes(
      new Document({ id: 'd', tags: { a: { b: 1 } }, location: [1], chunks: [new Document({ id: 'c' })] }).toBytes(),
    );
    document.tags['n'] = 2;
    document.location.push(3);
    document.scores['s'] = { value: 1 };
    const chunk = document.chunks[0];
    assert.ok(chunk);
    chunk.text = 'x';
    document.matches.push(new Document({ id: 'm' }));
    assert.deepEqual(oracleDecode(DOCUMENT, document.toBytes()), {
      id: 'd',
      tags: { a: { b: 1 }, n: 2 },
      location: [1, 3],
      scores: { s: { value: 1 } },
      chunks: [{ id: 'c', text: 'x' }],
      matches: [{ id: 'm' }],
    });
  });

  test('unknown fields and _metadata survive a change', () => {
    const metadata = oracleEncode(DOCUMENT, { id: 'a', text: 't', _metadata: { k: 1 } });
    const unknown = Uint8Array.of(0xfa, 0x3e, 1, 7, 0xf8, 0x3e, 5); // fields 1007: one byte, and varint 5
    const document = Document.fromBytes(Buffer.concat([unknown, metadata]));
    document.text = 'changed';
    const bytes = document.toBytes();
    assert.deepEqual(bytes.subarray(0, unknown.length), unknown);
    assert.deepEqual(oracleDecode(DOCUMENT, bytes), { id: 'a', text: 'changed', _metadata: { k: 1 } });
  });

  test('content is a oneof whose presence counts', () => {
    const document = Document.fromBytes(oracleEncode(DOCUMENT, { id: 'a', blob: '' }));
    assert.deepEqual([document.blob?.length, document.text, document.tensor], [0, undefined, undefined]);
    document.text = '';
    assert.deepEqual(oracleDecode(DOCUMENT, document.toBytes()), { id: 'a', text: '' });
    document.blob = undefined;
    assert.equal(document.text, '');
    document.text = undefined;
    assert.deepEqual(oracleDecode(DOCUMENT, document.toBytes()), { id: 'a' });
  });

  test('of content fields sent one after the other the last counts, and clearing it does not bring back another', () => {
    const parts = [{ text: 'a' }, { tensor: { cls_name: 'x' } }, { text: 'b' }].map((json) =>
      oracleEncode(DOCUMENT, json),
    );
    const bytes = Buffer.concat(parts);
    const document = Document.fromBytes(bytes);
    assert.deepEqual([document.text, document.tensor, document.contentKind], ['b', undefined, 'text']);
    document.text = undefined;
    assert.deepEqual(oracleDecode(DOCUMENT, document.toBytes()), {});
  });

  test('a message field that occurs twice is merged', () => {
    const dense = oracleEncode(DOCUMENT, { embedding: { dense: { buffer: 'AACAPw==', shape: [1] } } });
    const rest = oracleEncode(DOCUMENT, { embedding: { dense: { dtype: '<f4' }, cls_name: 'torch' } });
    const { embedding } = Document.fromBytes(Buffer.concat([dense, rest]));
    assert.deepEqual([embedding?.clsName, [...(embedding?.toFloat32() ?? [])]], ['torch', [1]]);
  });

  test('a blob is a view of the bytes', () => {
    const bytes = new Document({ blob: Uint8Array.of(1, 2, 3) }).toBytes();
    assert.equal(Document.fromBytes(bytes).blob?.buffer, bytes.buffer);
  });

  test('contentKind and peek agree, and say what the rule says', () => {
    const kinds: [DocumentInit, string][] = [
      [{ text: 'a', uri: 'u' }, 'text'],
      [{ text: '' }, 'none'],
      [{ text: '', uri: 'u' }, 'uri'],
      [{ blob: new Uint8Array(0), uri: 'u' }, 'blob'],
      [{ tensor: new NdArray(Uint8Array.of(1), [1], '|u1') }, 'tensor'],
      [{ uri: 'u' }, 'uri'],
      [{}, 'none'],
    ];
    for (const [init, kind] of kinds) {
      const document = new Document({ id: 'i', ...init });
      assert.equal(document.contentKind, kind);
      assert.deepEqual(peek(document.toBytes()), { id: 'i', kind });
    }
    fc.assert(
      fc.property(nestedInits, (init) => {
        const bytes = new Document(init).toBytes();
        const document = Document.fromBytes(bytes);
        assert.deepEqual(peek(bytes), { id: document.id, kind: document.contentKind });
      }),
    );
  });

  test('a value that the protocol cannot carry is an error that names its property', () => {
    for (const [init, name] of [
      [{ granularity: -1 }, 'granularity'],
      [{ weight: 1e300 }, 'weight'],
      [{ tags: { a: undefined as never } }, 'tags'],
    ] as const) {
      assert.throws(
        () => new Document(init).toBytes(),
        (error) => error instanceof ClipflowError && error.code === 'INVALID_DOCUMENT' && error.message.includes(name),
      );
    }
  });
});

describe('malformed bytes', () => {
  const readAll = (bytes: Uint8Array) => {
    const document = Document.fromBytes(bytes);
    for (const read of [
      () => properties(document),
      () => peek(bytes),
      () => document.contentKind,
      () => document.toBytes(),
    ]) {
      try {
        read();
      } catch (error) {
        assert.ok(error instanceof ClipflowError, String(error));
        assert.equal(error.code, 'INVALID_DOCUMENT');
      }
    }
  };

  test('random bytes never throw anything but INVALID_DOCUMENT', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), readAll), { numRuns: 2000 });
  });

  test('nor does a document that was cut or changed in one byte', () => {
    const changes = fc.tuple(nestedInits, fc.nat(), fc.nat(255), fc.boolean());
    fc.assert(
      fc.property(changes, ([init, position, byte, cut]) => {
        const bytes = new Document(init).toBytes();
        const at = position % bytes.length || 0;
        if (cut) return readAll(bytes.subarray(0, at));
        bytes[at] = byte;
        readAll(bytes);
      }),
      { numRuns: 500 },
    );
  });

  test('the error says where', () => {
    const bytes = oracleEncode(DOCUMENT, { id: 'abc', text: 'hello' });
    assert.throws(
      () => Document.fromBytes(bytes.subarray(0, 8)).text,
      /DocumentProto: is cut short at byte 5 of 8 \(field 4\)/,
    );
    assert.throws(() => Document.fromBytes(Uint8Array.of(0x0a, 1, 0xff)).id, /DocumentProto\.id: is not valid UTF-8/);
  });

  test('many replaced contents take linear time', () => {
    const bytes = new Uint8Array(400_000);
    for (let i = 0; i < bytes.length; i += 2) bytes[i] = i % 4 === 0 ? 0x12 : 0x22; // empty blob, empty text, ...
    assert.equal(Document.fromBytes(bytes).text, '');
  });
});
