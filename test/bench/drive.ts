import { setTimeout as delay } from 'node:timers/promises';
import type { Call } from './stack/contender.js';

export interface Driven {
  seconds: number;
  latenciesMs: number[];
  /** What the first call answered. */
  first: () => ArrayLike<number>;
}

/**
 * Makes `count` calls, going round `calls`, with `inFlight` of them under way as long as enough are left. Who has an
 * answer waits `pauseMs` before the next call.
 */
export async function drive(calls: readonly Call[], count: number, inFlight: number, pauseMs = 0): Promise<Driven> {
  const latenciesMs: number[] = [];
  let first: Driven['first'] | undefined;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      const call = calls[index % calls.length];
      if (!call) throw new Error('there is nothing to call');
      const sent = performance.now();
      const answer = await call();
      latenciesMs.push(performance.now() - sent);
      if (index === 0) first = answer;
      if (pauseMs > 0) await delay(pauseMs);
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: inFlight }, worker));
  const seconds = (performance.now() - started) / 1000;
  if (!first) throw new Error('no call was made');
  return { seconds, latenciesMs, first };
}
