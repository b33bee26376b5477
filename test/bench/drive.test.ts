import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Call } from './stack/contender.js';
import { cpuSeconds } from './cpu.js';
import { drive } from './drive.js';

describe('drive', () => {
  test('makes every call in turn, keeps as many under way as it may, and tells what the first answered', async () => {
    const size = fc.integer({ min: 1, max: 40 });
    await fc.assert(
      fc.asyncProperty(size, size, size, async (batches, count, inFlight) => {
        const made = new Array<number>(batches).fill(0);
        let [underWay, most] = [0, 0];
        const calls = made.map((_, batch): Call => async () => {
          made[batch] = (made[batch] ?? 0) + 1;
          most = Math.max(most, ++underWay);
          await setImmediate();
          underWay--;
          return () => [batch];
        });

        const { latenciesMs, seconds, first } = await drive(calls, count, inFlight);

        const turns = (batch: number): number => Math.floor(count / batches) + (batch < count % batches ? 1 : 0);
        assert.deepEqual(
          made,
          made.map((_, batch) => turns(batch)),
        );
        assert.equal(most, Math.min(inFlight, count));
        assert.equal(latenciesMs.length, count);
        assert.ok(latenciesMs.every((ms) => ms >= 0 && ms <= seconds * 1000));
        assert.deepEqual(first(), [0]);
      }),
    );
  });

  test('fails with the call that fails', async () => {
    const calls: Call[] = [async () => () => [0], async () => Promise.reject(new Error('HTTP 429'))];
    await assert.rejects(drive(calls, 4, 2), /HTTP 429/);
  });
});

describe('cpuSeconds', () => {
  test('agrees with what the process knows of itself', { skip: process.platform !== 'linux' }, () => {
    const { user, system } = process.cpuUsage();
    const seconds = cpuSeconds(process.pid);
    assert.ok(Math.abs(seconds - (user + system) / 1e6) < 0.1, `${seconds} s`);
  });

  test('is no number for a process that is gone', () => {
    assert.ok(Number.isNaN(cpuSeconds(2 ** 30)));
  });
});
