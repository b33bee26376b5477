/** A run that takes longer than this, and than so many times the slowest before it, does not come back. */
const MIN_LIMIT_MS = 60_000;
const FACTOR = 50;
/** The limit is counted in so many ticks, so that a stall of the whole process accuses nobody. */
const TICKS = 10;

/** Notices that a thread, which answers runs one by one in their order, has stopped answering. */
export class Watchdog {
  #running = 0;
  #runBegan = 0;
  #slowestMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #onHang: ((limitMs: number) => void) | undefined;

  /** From now on `onHang` is called when a run hangs. Until then runs are only timed: the first are slow at will. */
  start(onHang: (limitMs: number) => void): void {
    this.#onHang = onHang;
  }

  async watch<T>(run: Promise<T>): Promise<T> {
    this.#running += 1;
    if (this.#running === 1) this.#begin();
    try {
      return await run;
    } finally {
      this.#running -= 1;
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - this.#runBegan);
      clearInterval(this.#timer);
      if (this.#running > 0) this.#begin();
    }
  }

  #begin(): void {
    this.#runBegan = performance.now();
    const limitMs = Math.max(MIN_LIMIT_MS, FACTOR * this.#slowestMs);
    let ticks = 0;
    this.#timer = setInterval(() => {
      if (++ticks === TICKS) this.#onHang?.(limitMs);
    }, limitMs / TICKS).unref();
  }
}
