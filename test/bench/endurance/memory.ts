import { readFileSync } from 'node:fs';

/** `env` of Node processes that `collectGarbage` can reach. */
export const COLLECTS_ON_SIGNAL = {
  NODE_OPTIONS: `--import ${new URL('collect-on-signal.js', import.meta.url).href}`,
};

/** V8 collects what is old when the heap has grown, which may take minutes: until then nobody knows what it holds. */
export function collectGarbage(pid: number): void {
  process.kill(pid, 'SIGUSR2');
}

/** Proportional set size of a process, so that what processes share counts once, in MiB (Linux). */
export function memoryMiB(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1]) / 1024;
}
