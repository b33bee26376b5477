import type { CancelSignal } from '../../src/cancel.js';
import type { Item } from './item.js';
import { MAX_TIMER_MS } from './patience.js';

/** Settles what is still open when the caller goes away or the time is up; returns a function that stops watching. */
export function giveUpOn(
  items: readonly Item[],
  { signal, timeoutMs }: { signal?: CancelSignal | undefined; timeoutMs?: number | undefined },
): () => void {
  const settleAll = (code: 'CANCELLED' | 'DEADLINE_EXCEEDED', message: string): void => {
    for (const item of items) item.settle({ error: { code, message } });
  };
  const onAbort = (): void => settleAll('CANCELLED', 'the caller went away');
  const onTimeout = (ms: number): void => settleAll('DEADLINE_EXCEEDED', `no answer within ${Math.round(ms)} ms`);
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  let timer: NodeJS.Timeout | undefined;
  // A timer takes a millisecond at least: work that has less left would be computed first.
  if (timeoutMs !== undefined && timeoutMs < 1) onTimeout(timeoutMs);
  else if (timeoutMs !== undefined) timer = setTimeout(onTimeout, Math.min(timeoutMs, MAX_TIMER_MS), timeoutMs);
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  };
}
