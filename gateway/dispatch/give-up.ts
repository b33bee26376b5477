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
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(
          () => settleAll('DEADLINE_EXCEEDED', `no answer within ${Math.round(timeoutMs)} ms`),
          Math.min(timeoutMs, MAX_TIMER_MS),
        );
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  };
}
