import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ClipflowError } from '../../../src/errors.js';
import { Document } from '../../../src/document/document.js';
import { decodeDataRequest, encodeDataRequest, type DataRequest } from '../../../src/document/request.js';
import { fixture, fixtureNames, oracleDecode, oracleEncode, REQUEST, tags } from './support.js';

/** Those of `unknown-conn3` are another call, dry_run: Empty and StatusProto. */
const recorded = fixtureNames('wire', /^(?!unknown-conn3).*\.(request|response)\.\d\.bin$/);

const status = fc.record(
  {
    code: fc.nat(1),
    description: fc.string(),
    exception: fc.record(
      {
        name: fc.string(),
        args: fc.array(fc.string(), { maxLength: 2 }),
        stacks: fc.array(fc.string(), { maxLength: 2 }),
        executor: fc.string(),
      },
      { noNullPrototype: true },
    ),
  },
  { requiredKeys: ['code', 'description'], noNullPrototype: true },
);

/** Milliseconds with whole microseconds, around our time. */
const time = fc.integer({ min: -1e9, max: 4e9 }).map((seconds) => seconds * 1000 + 0.125);

const requests: fc.Arbitrary<DataRequest> = fc.record(
  {
    header: fc.record(
      {
        requestId: fc.string(),
        execEndpoint: fc.string(),
        targetExecutor: fc.string(),
        timeout: fc.integer({ min: 0, max: 0xffffffff }),
        status,
      },
      { requiredKeys: ['requestId', 'execEndpoint', 'targetExecutor'], noNullPrototype: true },
    ),
    parameters: tags,
    routes: fc.array(
      fc.record(
        { executor: fc.string(), startTime: time, endTime: time, status },
        { requiredKeys: ['executor'], noNullPrototype: true },
      ),
      { maxLength: 3 },
    ),
    docs: fc.array(
      fc.string().map((text) => new Document({ text }).toBytes()),
      { maxLength: 3 },
    ),
  },
  { noNullPrototype: true },
);

describe('DataRequestProto', () => {
  assert.ok(recorded.length > 30);
  for (const name of recorded) {
    test(`${name}: decoded and encoded again it reads the same`, () => {
      const bytes = fixture(`wire/${name}`);
      const again = encodeDataRequest(decodeDataRequest(bytes));
      const expected = oracleDecode(REQUEST, bytes) as { header: object };
      // A request may leave the target out; what we write has it, as every response does.
      if (name.includes('.request.')) expected.header = { target_executor: '', ...expected.header };
      assert.deepEqual(oracleDecode(REQUEST, again), expected);
    });
  }

  test('what the client sent is read', () => {
    const request = decodeDataRequest(fixture('wire/texts.request.1.bin'));
    assert.equal(request.header.execEndpoint, '/encode');
    assert.match(request.header.requestId, /^[0-9a-f]{32}$/);
    assert.equal(request.header.targetExecutor, undefined);
    assert.deepEqual(request.parameters, { drop_image_content: true });
    assert.deepEqual(
      request.docs.map((doc) => Document.fromBytes(doc).contentKind),
      ['text', 'text'],
    );
    assert.equal(request.docs[0]?.buffer, request.docs[1]?.buffer);
  });

  test('the status of an error is read', () => {
    const response = decodeDataRequest(fixture('wire/error.response.1.bin'));
    assert.equal(response.header.status?.code, 1);
    assert.equal(response.header.status.exception?.name, 'UnidentifiedImageError');
    assert.equal(response.header.status.exception.executor, 'CLIPEncoder');
    assert.deepEqual(
      response.routes.map((route) => [route.executor, route.status?.code]),
      [
        ['gateway', undefined],
        ['clip_o', 1],
      ],
    );
  });

  test('decode(encode(x)) = x', () => {
    fc.assert(
      fc.property(requests, (request) => {
        const { parametersBytes, ...decoded } = decodeDataRequest(encodeDataRequest(request));
        assert.deepEqual(decoded, request);
        assert.equal(parametersBytes !== undefined, Object.keys(request.parameters).length > 0);
      }),
    );
  });

  test('the oracle reads what was written', () => {
    const bytes = encodeDataRequest({
      header: { requestId: 'r', execEndpoint: '', timeout: 0, status: { code: 1, description: 'd' } },
      parameters: { limit: 3 },
      routes: [{ executor: 'gateway', startTime: 1_700_000_000_123.456, endTime: 1_700_000_000_124.456 }],
      docs: [],
    });
    assert.deepEqual(oracleDecode(REQUEST, bytes), {
      header: {
        request_id: 'r',
        status: { code: 'ERROR', description: 'd' },
        exec_endpoint: '',
        target_executor: '',
        timeout: 0,
      },
      parameters: { limit: 3 },
      routes: [
        { executor: 'gateway', start_time: '2023-11-14T22:13:20.123456Z', end_time: '2023-11-14T22:13:20.124456Z' },
      ],
      data: { docs: {} },
    });
  });

  test('docs_bytes holds a DocumentArrayProto; of several data the oneof decides', () => {
    const array = Buffer.from(oracleEncode('docarray.DocumentArrayProto', { docs: [{ id: 'b' }] })).toString('base64');
    const ids = (...datas: object[]) => {
      const parts = datas.map((data) => oracleEncode(REQUEST, { data } as never));
      return decodeDataRequest(Buffer.concat(parts)).docs.map((doc) => Document.fromBytes(doc).id);
    };
    assert.deepEqual(ids({ docs_bytes: array }), ['b']);
    assert.deepEqual(ids({ docs: { docs: [{ id: 'a' }] } }, { docs: { docs: [{ id: 'c' }] } }), ['a', 'c']);
    assert.deepEqual(ids({ docs: { docs: [{ id: 'a' }] } }, { docs_bytes: array }), ['b']);
  });

  test('an empty message is an empty request', () => {
    const empty = { header: { requestId: '', execEndpoint: '' }, parameters: {}, routes: [], docs: [] };
    assert.deepEqual(decodeDataRequest(new Uint8Array(0)), empty);
  });
});

describe('malformed requests', () => {
  const decodeAny = (bytes: Uint8Array) => {
    try {
      decodeDataRequest(bytes);
    } catch (error) {
      assert.ok(error instanceof ClipflowError, String(error));
      assert.equal(error.code, 'INVALID_REQUEST');
    }
  };

  test('random bytes never throw anything but INVALID_REQUEST', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), decodeAny), { numRuns: 2000 });
  });

  test('nor do recorded messages that were cut or changed in one byte', () => {
    const bytes = fixture('wire/error.response.1.bin');
    for (let at = 0; at < bytes.length; at += 7) {
      decodeAny(bytes.subarray(0, at));
      const changed = bytes.slice();
      changed[at] = (at * 31) & 0xff;
      decodeAny(changed);
    }
  });

  test('the error says where', () => {
    const bytes = oracleEncode(REQUEST, { header: { request_id: 'abc' }, data: { docs: { docs: [{ id: 'a' }] } } });
    assert.throws(
      () => decodeDataRequest(bytes.subarray(0, 10)),
      /DataRequestProto: is cut short at byte 7 of 10 \(field 4\)/,
    );
    assert.throws(
      () => decodeDataRequest(Uint8Array.of(0x0a, 2, 0x0a, 9)),
      /DataRequestProto\.header: is cut short at byte 0 of 2 \(field 1\)/,
    );
  });
});
