import type { ExecutorLoad } from './load.js';

/**
 * How many replicas, busy all the time, the documents would fill that are being computed.
 *
 * The time that replicas are busy does not tell by itself: with little to do, a replica is as busy with small batches as
 * it would be with large ones. So the documents per second count, times the least time that a document was seen to take
 * in a window since `forget`.
 */
export class Effort {
  /** Of the last window. */
  replicas = 0;
  #secondsPerDocument = Infinity;
  #window: { start: number; done: number; busySeconds: number; last: number } | undefined;

  /** @param windowMs milliseconds over which it is measured */
  constructor(private readonly windowMs: number) {}

  /** @param now milliseconds of a clock that does not go back */
  observe({ busy, done }: Pick<ExecutorLoad, 'busy' | 'done'>, now: number): void {
    // The count begins again with a gateway that starts again.
    if (!this.#window || done < this.#window.done) this.#window = { start: now, done, busySeconds: 0, last: now };
    const window = this.#window;
    window.busySeconds += (busy * (now - window.last)) / 1000;
    window.last = now;
    if (now - window.start < this.windowMs) return;
    const documents = done - window.done;
    if (documents > 0) this.#secondsPerDocument = Math.min(this.#secondsPerDocument, window.busySeconds / documents);
    this.replicas = documents === 0 ? 0 : (documents * this.#secondsPerDocument * 1000) / (now - window.start);
    this.#window = { start: now, done, busySeconds: 0, last: now };
  }

  /** Measures anew what a document takes: other documents may come now. */
  forget(): void {
    this.#secondsPerDocument = Infinity;
    this.#window = undefined;
  }
}
