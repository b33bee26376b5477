import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/**
 * What a call leaves in the old generation makes each collection of the young one slower, and stays until all is
 * collected. V8 is led to it by what looks harmless: `{ ...a, b }` with a `b` that `a` lacks and a getter in a literal,
 * which make a new hidden class each time, or a long-lived Map that becomes empty after each call, which makes a new
 * table. In a process of its own: the hooks of the test runner leave more.
 */
test('what a call allocates dies young', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    fileURLToPath(new URL('./garbage-process.js', import.meta.url)),
  ]);
  assert.ok(Number(stdout) < 600, `each call left ${stdout.trim()} bytes in the old generation`);
});
