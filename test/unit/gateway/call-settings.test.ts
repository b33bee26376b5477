import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callSettings } from '../../../gateway/call-settings.js';

const settings = (headers: Record<string, string>) => callSettings((name) => headers[name]);

test('priority and timeout of a call', () => {
  assert.deepEqual(settings({}), { priority: 'interactive' });
  assert.deepEqual(settings({ 'x-priority': 'bulk' }), { priority: 'bulk' });
  assert.deepEqual(settings({ 'x-request-timeout': '1.5' }), { priority: 'interactive', timeoutMs: 1500 });
});

test('values that mean nothing are refused by name', () => {
  assert.throws(() => settings({ 'x-priority': 'urgent' }), {
    code: 'INVALID_REQUEST',
    message: /x-priority "urgent"/,
  });
  for (const timeout of ['', 'soon', '0', '-1', 'Infinity']) {
    assert.throws(() => settings({ 'x-request-timeout': timeout }), { code: 'INVALID_REQUEST', message: /seconds/ });
  }
});
