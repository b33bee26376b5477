import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { failureAnswer, httpStatusOf, protocolAnswer, retryAfter } from '../../../gateway/answer.js';
import type { Outcome } from '../../../src/call.js';
import { Document } from '../../../src/document/document.js';
import type { DataRequest } from '../../../src/document/request.js';
import type { ErrorCode } from '../../../src/errors.js';

const docs = ['a', 'b', 'c'].map((id) => new Document({ id }).toBytes());
const request: DataRequest = {
  header: { requestId: 'r', execEndpoint: '/', targetExecutor: 'clip' },
  parameters: {},
  routes: [],
  docs,
};
const routes = [{ executor: 'gateway' }, { executor: 'clip' }];
const answered = Buffer.from('answered');
const error = (code: ErrorCode, message = 'why') => ({ error: { code, message } });
const answer = (outcomes: Outcome[]) => protocolAnswer(request, { outcomes, routes });

describe('an answer', () => {
  test('without errors has the documents and no status', () => {
    const { response, failure } = answer([{ doc: answered }, { doc: answered }, { doc: answered }]);
    // As published: the target is not echoed.
    const header = { ...request.header, targetExecutor: '' };
    assert.deepEqual(response, { ...request, header, routes, docs: [answered, answered, answered] });
    assert.equal(failure, undefined);
  });

  test('with a failed document returns it as it was sent, and names the first of them', () => {
    const { response, failure } = answer([
      { doc: answered },
      error('INVALID_DOCUMENT', 'no picture'),
      error('EXECUTOR_FAILED', 'too bad'),
    ]);
    assert.deepEqual(response.docs, [answered, docs[1], docs[2]]);
    const status = {
      code: 1,
      description: 'INVALID_DOCUMENT: document 1 (id b): no picture (and 1 more of 3 documents failed)',
      exception: {
        name: 'INVALID_DOCUMENT',
        args: ['document 1: no picture', 'document 2: too bad'],
        stacks: [],
        executor: '',
      },
    };
    assert.deepEqual(response.header.status, status);
    // As CLIP-as-service does: in the route of the executor too.
    assert.deepEqual(response.routes, [{ executor: 'gateway' }, { executor: 'clip', status }]);
    assert.equal(failure, undefined);
  });

  test('whose documents all failed of what is not their fault is a failure as a whole', () => {
    const all = (code: ErrorCode) => answer(docs.map(() => error(code))).failure?.code;
    for (const code of ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'REPLICA_LOST', 'UNKNOWN_MODEL'] as const)
      assert.equal(all(code), code);
    for (const code of ['INVALID_DOCUMENT', 'URI_FORBIDDEN', 'EXECUTOR_FAILED', 'DOCUMENT_KILLS'] as const)
      assert.equal(all(code), undefined);
    assert.equal(answer([{ doc: answered }, error('UNAVAILABLE'), error('UNAVAILABLE')]).failure, undefined);
  });
});

test('a request that failed as a whole comes back with its status', () => {
  const { header, docs: sent } = failureAnswer(request, { code: 'OVERLOADED', message: 'full' });
  assert.deepEqual(sent, docs);
  assert.equal(header.requestId, 'r');
  assert.equal(header.status?.description, 'OVERLOADED: full');
  assert.deepEqual(header.status?.exception?.args, ['full']);
});

test('callers are told when to come again where that helps', () => {
  assert.equal(httpStatusOf({ code: 'OVERLOADED', message: '' }), 429);
  assert.deepEqual((['OVERLOADED', 'UNAVAILABLE', 'INVALID_REQUEST', 'INTERNAL'] as const).map(retryAfter), [
    1,
    1,
    undefined,
    undefined,
  ]);
});
