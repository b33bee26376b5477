import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { status as GrpcStatus } from '@grpc/grpc-js';
import { ClipflowError, ERRORS, isErrorCode, isStartError, toClipflowError, type ErrorCode } from '../../src/errors.js';

const PAGE = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
const codes = Object.keys(ERRORS) as ErrorCode[];

test('docs/errors.md has each error as it is, in the same order', () => {
  const rows = PAGE.split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  assert.deepEqual(
    rows.map(([, code, meaning, http, grpc, retryable]) => [code, meaning, http, grpc, retryable]),
    codes.map((code) => {
      const { http, grpc, retryable, meaning } = ERRORS[code];
      return [`\`${code}\``, meaning, String(http), `${GrpcStatus[grpc]} (${grpc})`, retryable ? 'yes' : 'no'];
    }),
  );
});

test('docs/errors.md names the errors that end a process for good', () => {
  const [line = ''] = /\*\*At the start\*\*[^]*?exit/.exec(PAGE) ?? [];
  const named = [...line.matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code);
  assert.deepEqual(
    named,
    codes.filter((code) => isStartError(new ClipflowError(code, ''))),
  );
});

describe('an error', () => {
  test('comes back from its data as it was', () => {
    for (const code of codes) {
      const error = new ClipflowError(code, `about ${code}`);
      const again = ClipflowError.fromData(JSON.parse(JSON.stringify(error)) as typeof error);
      assert.deepEqual([again.code, again.message], [code, `about ${code}`]);
      assert.equal(again.httpStatus, ERRORS[code].http);
      assert.equal(again.retryable, ERRORS[code].retryable);
    }
  });

  test('of a code that this version does not know is INTERNAL', () => {
    for (const code of ['OF_TOMORROW', 'toString', 'constructor', '']) {
      assert.equal(isErrorCode(code), false);
      assert.equal(ClipflowError.fromData({ code: code as ErrorCode, message: 'm' }).code, 'INTERNAL', code);
    }
  });

  test('made of anything that was thrown keeps what it said and where it came from', () => {
    const own = new ClipflowError('OVERLOADED', 'full');
    assert.equal(toClipflowError(own, 'EXECUTOR_FAILED'), own);
    const cause = new TypeError('no such thing');
    const error = toClipflowError(cause, 'EXECUTOR_FAILED');
    assert.deepEqual([error.code, error.message, error.cause], ['EXECUTOR_FAILED', 'no such thing', cause]);
    assert.deepEqual([toClipflowError('text').code, toClipflowError('text').message], ['INTERNAL', 'text']);
  });
});
