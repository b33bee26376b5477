import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeOutcomes, encodeCall, encodeOutcomes, decodeCall, type Outcome } from '../../../src/call.js';
import { ERRORS, type ErrorCode } from '../../../src/errors.js';
import type { JsonObject } from '../../../src/json.js';
import { cutChunks, FRAME_HEAD, frameHead, FrameType, parseFrame } from '../../../src/transport/frame.js';
import { decodeMessage, encodeMessage } from '../../../src/transport/message.js';

const headers = fc
  .dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { noNullPrototype: true })
  .map((header) => JSON.parse(JSON.stringify(header)) as JsonObject);
const parts = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 });
const whole = (chunks: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(chunks));

describe('a message', () => {
  test('comes back as it was, with the borders of its parts', () => {
    fc.assert(
      fc.property(headers, parts, (header, bytes) => {
        const message = decodeMessage(whole(encodeMessage({ header, parts: bytes })));
        assert.deepEqual(message.header, header);
        assert.deepEqual(
          message.parts.map((part) => [...part]),
          bytes.map((part) => [...part]),
        );
      }),
    );
  });

  test('has the form that is written down: u32 length, preamble, parts', () => {
    const preamble = '{"header":{"a":1},"parts":[2,0]}';
    const wire = Buffer.concat([Buffer.from([preamble.length, 0, 0, 0]), Buffer.from(preamble), Buffer.from('xy')]);
    const message = { header: { a: 1 }, parts: [Buffer.from('xy'), new Uint8Array()] };
    assert.deepEqual(whole(encodeMessage(message)), new Uint8Array(wire));
  });

  test('is not copied on either side', () => {
    const part = new Uint8Array([1, 2, 3]);
    assert.ok(encodeMessage({ header: {}, parts: [part] }).includes(part));
    const bytes = whole(encodeMessage({ header: {}, parts: [part] }));
    assert.equal(decodeMessage(bytes).parts[0]?.buffer, bytes.buffer);
  });

  test('that is cut or has more bytes than it says is INTERNAL', () => {
    fc.assert(
      fc.property(
        headers,
        parts,
        fc.nat(),
        fc.uint8Array({ minLength: 1, maxLength: 9 }),
        (header, bytes, cut, more) => {
          const wire = whole(encodeMessage({ header, parts: bytes }));
          assert.throws(() => decodeMessage(wire.subarray(0, cut % wire.length)), { code: 'INTERNAL' });
          assert.throws(() => decodeMessage(Buffer.concat([wire, more])), { code: 'INTERNAL' });
        },
      ),
    );
  });

  test('made of any bytes is INTERNAL, and nothing else', () => {
    const preambles = fc
      .oneof(
        fc.json(),
        fc.record({ header: fc.jsonValue(), parts: fc.jsonValue() }).map((value) => JSON.stringify(value)),
      )
      .map((json) => {
        const text = Buffer.from(json);
        const head = Buffer.alloc(4);
        head.writeUInt32LE(text.length);
        return new Uint8Array(Buffer.concat([head, text]));
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), preambles), (bytes) => {
        try {
          const { header } = decodeMessage(bytes);
          assert.ok(typeof header === 'object' && !Array.isArray(header));
        } catch (error) {
          assert.equal((error as { code?: unknown }).code, 'INTERNAL');
        }
      }),
    );
  });
});

describe('a frame', () => {
  test('comes back as it was, and has the form that is written down', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(FrameType)),
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.boolean(),
        fc.uint8Array({ maxLength: 50 }),
        (type, id, last, payload) => {
          const bytes = whole([frameHead(type, id, last), payload]);
          const head = new DataView(bytes.buffer);
          assert.deepEqual(
            [head.getUint8(0), head.getUint8(1), head.getUint16(2, true), head.getUint32(4, true)],
            [1, type, last ? 1 : 0, id],
          );
          const frame = parseFrame(bytes);
          assert.deepEqual(
            { ...frame, payload: [...(frame?.payload ?? [])] },
            { type, id, last, payload: [...payload] },
          );
        },
      ),
    );
  });

  test('shorter than its head is none', () => {
    assert.equal(parseFrame(new Uint8Array(FRAME_HEAD - 1).fill(1)), undefined);
    assert.equal(parseFrame(new Uint8Array()), undefined);
  });

  test('of another version is refused with the names of both', () => {
    assert.throws(() => parseFrame(new Uint8Array(FRAME_HEAD).fill(2)), {
      code: 'TRANSPORT_FAILED',
      message: /speaks version 2 of the transport's envelope, this side speaks 1:/,
    });
  });
});

test('chunks are cut into pieces of a size: all but the last are full, and together they are what came', () => {
  fc.assert(
    fc.property(parts, fc.integer({ min: 1, max: 64 }), (chunks, size) => {
      const pieces = [...cutChunks(chunks, size)];
      const total = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      assert.deepEqual(whole(pieces.flatMap(({ piece }) => piece)), whole(chunks));
      assert.equal(pieces.length, Math.ceil(total / size));
      pieces.forEach(({ piece, bytes }, index) => {
        assert.equal(bytes, whole(piece).length);
        assert.equal(bytes, index < pieces.length - 1 ? size : total - size * (pieces.length - 1));
      });
    }),
  );
});

describe('a call', () => {
  test('and its outcomes come back as they were', () => {
    const codes = fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[]));
    const outcomes: fc.Arbitrary<Outcome[]> = fc.array(
      fc.oneof(
        fc.record({ doc: fc.uint8Array({ maxLength: 20 }) }),
        fc.record({ error: fc.record({ code: codes, message: fc.string() }) }),
      ),
    );
    const plain = (list: readonly Outcome[]) =>
      list.map((outcome) => ('doc' in outcome ? { doc: [...outcome.doc] } : { error: { ...outcome.error } }));
    fc.assert(
      fc.property(fc.string(), headers, parts, outcomes, fc.nat(), (endpoint, parameters, docs, answer, held) => {
        assert.deepEqual(decodeCall(encodeCall({ endpoint, parameters, docs })), { endpoint, parameters, docs });
        const wire = decodeMessage(whole(encodeMessage(encodeOutcomes(answer, held))));
        const decoded = decodeOutcomes(wire, answer.length);
        assert.deepEqual(plain(decoded.outcomes), plain(answer));
        assert.equal(decoded.held, held);
      }),
    );
  });

  test('answered with a code that this version does not know is INTERNAL', () => {
    for (const code of ['OF_TOMORROW', 'toString', '__proto__', '']) {
      const message = { header: { errors: [{ index: 0, code, message: 'm' }] }, parts: [new Uint8Array()] };
      assert.deepEqual(decodeOutcomes(message, 1).outcomes, [{ error: { code: 'INTERNAL', message: 'm' } }], code);
    }
  });

  test('answered with more or fewer documents is an error', () => {
    assert.throws(() => decodeOutcomes({ header: { errors: [] }, parts: [] }, 1), {
      code: 'INTERNAL',
      message: 'a replica answered 0 documents to a call of 1',
    });
  });
});
