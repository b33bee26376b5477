import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { z } from 'zod';
import { Document } from '../../../src/document/document.js';
import { requestFromJson, responseToJson } from '../../../src/document/request-json.js';
import { decodeDataRequest, encodeDataRequest, type DataRequest } from '../../../src/document/request.js';
import { ValidationError } from '../../../src/document/validation-error.js';
import { documentToJson } from '../../../src/document/json.js';
import { fixtureNames, httpBody, oracleEncode, REQUEST } from './support.js';

const requests = fixtureNames('wire/http', /\.request\.txt$/);
const responses = fixtureNames('wire/http', /\.response\.txt$/);

const requestBody = z.object({
  header: z.object({ request_id: z.string(), exec_endpoint: z.string(), target_executor: z.string().optional() }),
  parameters: z.unknown(),
  data: z.array(z.record(z.string(), z.json())),
});

/** A recorded response body is protobuf's JSON but for its documents; the times are cut from +00:00 to Z. */
function fromBody(body: unknown): DataRequest {
  const { data, ...rest } = z.looseObject({ data: z.array(z.json()) }).parse(body);
  const json = JSON.parse(JSON.stringify(rest), (key, value: unknown) => (value === null ? undefined : value)) as never;
  const { docs } = requestFromJson({ data });
  return { ...decodeDataRequest(oracleEncode(REQUEST, json)), docs };
}

describe('the body of POST /post', () => {
  for (const name of requests) {
    test(`${name} is read`, () => {
      const body = requestBody.parse(httpBody(name));
      const request = requestFromJson(body);
      assert.equal(request.header.requestId, body.header.request_id);
      assert.equal(request.header.execEndpoint, body.header.exec_endpoint);
      assert.equal(request.header.targetExecutor, body.header.target_executor);
      assert.deepEqual(request.parameters, body.parameters);
      assert.deepEqual(
        request.docs.map((doc) => documentToJson(Document.fromBytes(doc))),
        body.data,
      );
      assert.doesNotThrow(() => encodeDataRequest(request));
    });
  }

  for (const name of responses) {
    test(`${name} is written`, () => {
      const body = httpBody(name);
      assert.deepEqual(responseToJson(fromBody(body)), body);
    });
  }

  test('what people write', () => {
    const endpoint = (value: unknown) => requestFromJson(value).header.execEndpoint;
    assert.equal(endpoint({}), '/');
    assert.equal(endpoint({ execEndpoint: '/a' }), '/a');
    assert.equal(endpoint({ header: { execEndpoint: '/a' } }), '/a');
    assert.equal(endpoint({ exec_endpoint: '/b', header: { exec_endpoint: '/a' } }), '/b');
    assert.equal(requestFromJson({ targetExecutor: 'clip.*' }).header.targetExecutor, 'clip.*');
    assert.equal(requestFromJson({}).header.targetExecutor, undefined);
    assert.match(requestFromJson({}).header.requestId, /^[0-9a-f]{32}$/);
    assert.deepEqual(requestFromJson({ data: null, parameters: null }).docs, []);
    const kinds = (data: unknown) => requestFromJson({ data }).docs.map((doc) => Document.fromBytes(doc).contentKind);
    assert.deepEqual(kinds(['a', 'https://a/b', { blob: 'YWI=' }]), ['text', 'uri', 'blob']);
    assert.deepEqual(kinds({ docs: [{ text: 'a' }] }), ['text']);
  });

  test('wrong types are named with their place', () => {
    const cases: [unknown, (string | number)[], string][] = [
      [null, ['body'], 'type_error.dict'],
      [[], ['body'], 'type_error.dict'],
      [{ data: 'a' }, ['body', 'data'], 'type_error.list'],
      [{ data: { docs: 5 } }, ['body', 'data', 'docs'], 'type_error.list'],
      [{ data: ['a', { text: 5 }] }, ['body', 'data', 1, 'text'], 'type_error.str'],
      [{ data: { docs: [{ id: 1 }] } }, ['body', 'data', 'docs', 0, 'id'], 'type_error.str'],
      [{ parameters: [] }, ['body', 'parameters'], 'type_error.dict'],
      [{ exec_endpoint: 1 }, ['body', 'exec_endpoint'], 'type_error.str'],
      [{ header: 1 }, ['body', 'header'], 'type_error.dict'],
    ];
    for (const [body, loc, type] of cases) {
      assert.throws(
        () => requestFromJson(body),
        (error) => {
          assert.ok(error instanceof ValidationError, String(error));
          assert.deepEqual(
            error.details.map((detail) => [detail.loc, detail.type]),
            [[loc, type]],
          );
          return true;
        },
      );
    }
  });
});
