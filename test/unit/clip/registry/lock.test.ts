import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { withLock, type LockOwner } from '../../../../executors/clip/registry/lock.js';

async function lockPath(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'clipflow-lock-'));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, 'a.lock');
}

/** Runs tasks that all want the lock, and says how many had it at once at most. */
async function crowd(path: string, count: number): Promise<number> {
  let [inside, most] = [0, 0];
  const task = async () => {
    most = Math.max(most, ++inside);
    await readdir(tmpdir()); // others get their turn to come in
    inside--;
  };
  await Promise.all(Array.from({ length: count }, () => withLock(path, task)));
  return most;
}

describe('withLock', () => {
  test('lets one in at a time, and leaves nothing behind', async (t) => {
    const path = await lockPath(t);
    assert.equal(await crowd(path, 4), 1);
    assert.deepEqual(await readdir(join(path, '..')), []);
  });

  test('one follows an owner that died here', async (t) => {
    const path = await lockPath(t);
    // The dead owner's lock is written by this module itself, so that it carries the name of this host.
    const script = `
      const { withLock } = await import(process.argv[1]);
      await withLock(process.argv[2], async () => process.kill(process.pid, 'SIGKILL'));`;
    const module = new URL('../../../../executors/clip/registry/lock.js', import.meta.url).href;
    const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script, '--', module, path]);
    assert.equal(signal, 'SIGKILL');
    assert.deepEqual(await readdir(join(path, '..')), ['a.lock']);
    assert.equal(await crowd(path, 5), 1);
    assert.deepEqual(await readdir(join(path, '..')), []);
  });

  test('an owner elsewhere is followed after a minute of silence, not before', async (t) => {
    const path = await lockPath(t);
    const owner: LockOwner = { id: 'b5c7', pid: 1, host: 'elsewhere' };
    await writeFile(path, JSON.stringify(owner));
    const waited: LockOwner[] = [];
    const got = withLock(
      path,
      async () => 'ours',
      (found) => {
        waited.push(found);
        const past = new Date(Date.now() - 61_000);
        void utimes(path, past, past);
      },
    );
    assert.equal(await got, 'ours');
    assert.deepEqual(waited, [owner]);
  });

  test('a lock that says nothing is followed once it is old', async (t) => {
    const path = await lockPath(t);
    await writeFile(path, '');
    const past = new Date(Date.now() - 61_000);
    await utimes(path, past, past);
    assert.equal(await withLock(path, async () => 'ours'), 'ours');
  });

  test('a task that fails gives the lock back', async (t) => {
    const path = await lockPath(t);
    await assert.rejects(
      withLock(path, () => Promise.reject(new Error('no'))),
      /no/,
    );
    assert.equal(await withLock(path, async () => 'next'), 'next');
  });
});
