import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fastify from 'fastify';
import { parseBodiesAsJson } from '../../../gateway/http/body.js';
import { ValidationError } from '../../../src/document/validation-error.js';

const app = fastify();
parseBodiesAsJson(app);
app.setErrorHandler((error, _request, reply) =>
  reply.code(422).send(error instanceof ValidationError ? error.details : { unexpected: String(error) }),
);
app.post('/', (request) => ({ body: request.body }));
after(() => app.close());

async function post(payload: string | Buffer, type?: string): Promise<unknown> {
  const headers = type === undefined ? {} : { 'content-type': type };
  const response = await app.inject({ method: 'POST', url: '/', payload, headers });
  return response.json();
}

test('a body is JSON whatever its type says', async () => {
  for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'image/png', undefined])
    assert.deepEqual(await post('{"a": [1]}', type), { body: { a: [1] } }, type);
});

// pydantic 1's types, which FastAPI answers with.
test('a syntax error says where, an empty body that it is missing', async () => {
  const [fault] = (await post('{"a": 1,, }', 'application/json')) as { loc: unknown; type: string }[];
  assert.deepEqual([fault?.loc, fault?.type], [['body', 8], 'value_error.jsondecode']);
  const [cut] = (await post('{"a": ', 'application/json')) as { loc: unknown; type: string }[];
  assert.deepEqual([cut?.loc, cut?.type], [['body', 6], 'value_error.jsondecode']);
  assert.deepEqual(await post(' ', 'application/json'), [
    { loc: ['body'], msg: 'field required', type: 'value_error.missing' },
  ]);
});

test('a key __proto__ is data and changes no prototype', async () => {
  assert.deepEqual(await post('{"__proto__": {"polluted": true}}', 'application/json'), {
    body: JSON.parse('{"__proto__": {"polluted": true}}') as unknown,
  });
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
});
