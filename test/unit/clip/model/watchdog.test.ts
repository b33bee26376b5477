import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Watchdog } from '../../../../executors/clip/model/watchdog.js';

let clock = 0;
beforeEach(() => {
  clock = 0;
  mock.timers.enable({ apis: ['setInterval'] });
  mock.method(performance, 'now', () => clock);
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

function pass(ms: number): void {
  clock += ms;
  mock.timers.tick(ms);
}

function watched() {
  const hangs: number[] = [];
  const watchdog = new Watchdog();
  watchdog.start((limitMs) => hangs.push(limitMs));
  return { watchdog, hangs };
}

function pending() {
  let end = (): void => {};
  const run = new Promise<void>((resolve) => (end = resolve));
  return { run, end };
}

test('a run that does not come back within a minute is reported, once', () => {
  const { watchdog, hangs } = watched();
  void watchdog.watch(pending().run);
  pass(59_999);
  assert.deepEqual(hangs, []);
  pass(1);
  pass(600_000);
  assert.deepEqual(hangs, [60_000]);
});

test('where runs are slow, only after 50 times the slowest', async () => {
  const { watchdog, hangs } = watched();
  const slow = pending();
  const first = watchdog.watch(slow.run);
  pass(2000);
  slow.end();
  await first;
  void watchdog.watch(pending().run);
  pass(99_999);
  assert.deepEqual(hangs, []);
  pass(1);
  assert.deepEqual(hangs, [100_000]);
});

test('of several that were posted each counts from the end of the one before', async () => {
  const { watchdog, hangs } = watched();
  const [one, two] = [pending(), pending()];
  const [first, second] = [watchdog.watch(one.run), watchdog.watch(two.run)];
  pass(50_000);
  one.end();
  await first;
  pass(50_000);
  two.end();
  await second;
  pass(10_000_000);
  assert.deepEqual(hangs, [], 'and idleness is no hang');
});

test('a run that fails has come back', async () => {
  const { watchdog, hangs } = watched();
  await assert.rejects(watchdog.watch(Promise.reject(new Error('refused'))), /refused/);
  pass(10_000_000);
  assert.deepEqual(hangs, []);
});

test('before it is started runs may take as long as they like', () => {
  const hangs: number[] = [];
  const watchdog = new Watchdog();
  void watchdog.watch(pending().run);
  pass(600_000);
  watchdog.start((limitMs) => hangs.push(limitMs));
  assert.deepEqual(hangs, []);
});
