import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { within } from '../support/until.js';
import { COLLECTS_ON_SIGNAL, collectGarbage, memoryMiB } from './endurance/memory.js';

/** Keeps 64 MiB, and as much that nothing refers to once it is told: small objects, so that they lie on the heap. */
const HOARDER = `
  const fill = () => Array.from({ length: 64 }, () => Array.from({ length: 2 ** 17 }, (_, i) => i + 0.5));
  const kept = fill();
  let dropped = fill();
  process.on('message', () => { dropped = undefined; process.send('dropped'); });
  process.send('filled');
  setInterval(() => kept.length, 2 ** 30);
`;

test(
  'after a collection the memory of a process is what it holds',
  { skip: process.platform !== 'linux' },
  async () => {
    const child = fork('-e', [HOARDER], { execArgv: [], env: { ...process.env, ...COLLECTS_ON_SIGNAL } });
    try {
      await within(once(child, 'message'), 'the process to fill its memory');
      const { pid = NaN } = child;
      const full = memoryMiB(pid);
      const [dropped] = [once(child, 'message'), child.send('drop')];
      await within(dropped, 'the process to drop a half');
      collectGarbage(pid);
      const half = async (): Promise<number> => {
        for (;;) {
          const now = memoryMiB(pid);
          if (now < full - 48) return now;
          await delay(20);
        }
      };
      const least = await within(half(), 'the memory to fall');
      assert.ok(full - least < 96, `${full} MiB fell to ${least}: what is kept went too`);
    } finally {
      child.kill('SIGKILL');
    }
  },
);
