/** Batches in a row that fail as a whole before a replica is left out. */
const MAX_FAILURES = 5;
const PAUSE_MIN_MS = 1000;
const PAUSE_MAX_MS = 30_000;

/**
 * Whether a replica gets batches. Closed: as many as it has credit for. Open: none, because it hangs, or because
 * everything that it is given fails while others succeed. After a pause it is tried with one batch at a time, and any
 * answer closes the circuit; so does the late answer of a replica that was only slow.
 */
export class Circuit {
  #state: 'closed' | 'open' | 'trying' = 'closed';
  #failures = 0;
  #silentMs = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onTry the pause is over */
  constructor(private readonly onTry: () => void) {}

  get open(): boolean {
    return this.#state === 'open';
  }

  get trying(): boolean {
    return this.#state === 'trying';
  }

  /** The last that it was given succeeded. */
  get healthy(): boolean {
    return this.#state === 'closed' && this.#failures === 0;
  }

  /** It answered a batch, if only to say what is wrong with it. */
  answered(): void {
    this.#failures = 0;
    this.#become('closed');
  }

  /** A batch failed as a whole. When no other replica does better, leaving this one out would help nobody. */
  failed(othersHealthy: boolean): void {
    this.#failures += 1;
    const excess = this.#failures - MAX_FAILURES;
    if (excess < 0 || !othersHealthy) this.#become('closed');
    else this.#pause(Math.min(PAUSE_MIN_MS * 2 ** excess, PAUSE_MAX_MS));
  }

  /** It did not answer in time. */
  hung(): void {
    this.#pause(PAUSE_MAX_MS);
  }

  /** A batch was given up after `ms` without an answer. True when it adds up to a hang since the last answer. */
  silent(ms: number, patienceMs: number): boolean {
    this.#silentMs += ms;
    if (this.#silentMs < patienceMs) return false;
    this.hung();
    return true;
  }

  #pause(ms: number): void {
    this.#become('open');
    this.#timer = setTimeout(() => {
      this.#become('trying');
      this.onTry();
    }, ms).unref();
  }

  #become(state: 'closed' | 'open' | 'trying'): void {
    clearTimeout(this.#timer);
    this.#silentMs = 0;
    this.#state = state;
  }
}
