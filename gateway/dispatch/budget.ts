import type { CancelSignal } from '../../src/cancel.js';
import { ClipflowError } from '../../src/errors.js';

interface Waiter {
  docs: number;
  bytes: number;
  admit: () => void;
}

/** Bounds what a gateway holds: the documents that wait or are being computed. */
export class Budget {
  #docs = 0;
  #bytes = 0;
  #waiters: Waiter[] = [];

  constructor(private readonly limits: { docs: number; bytes: number }) {}

  get docs(): number {
    return this.#docs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws OVERLOADED at once when there is no room */
  take(docs: number, bytes: number): void {
    if (!this.#fits(docs, bytes)) {
      throw new ClipflowError(
        'OVERLOADED',
        `the queue is full (${this.#docs} of ${this.limits.docs} documents, ${this.#bytes} of ${this.limits.bytes} bytes): try again later`,
      );
    }
    this.#add(docs, bytes);
  }

  /**
   * For streams, which are slowed down instead of refused: takes room when there is some and nobody came before.
   * @throws CANCELLED when `signal` aborts first
   */
  async takeInTurn(docs: number, bytes: number, signal?: CancelSignal): Promise<void> {
    if (this.#waiters.length === 0 && this.#fits(docs, bytes)) {
      this.#add(docs, bytes);
      return;
    }
    const gone = new ClipflowError('CANCELLED', 'the caller went away');
    if (signal?.aborted) throw gone;
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        this.#waiters = this.#waiters.filter((one) => one !== waiter);
        reject(gone);
        this.#admit();
      };
      const admit = (): void => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const waiter: Waiter = { docs, bytes, admit };
      this.#waiters.push(waiter);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }

  give(docs: number, bytes: number): void {
    this.#add(-docs, -bytes);
    this.#admit();
  }

  #admit(): void {
    for (;;) {
      const [first] = this.#waiters;
      if (!first || !this.#fits(first.docs, first.bytes)) return;
      this.#waiters.shift();
      this.#add(first.docs, first.bytes);
      first.admit();
    }
  }

  #add(docs: number, bytes: number): void {
    this.#docs += docs;
    this.#bytes += bytes;
  }

  /** What is larger than the whole budget passes when nothing else is held: else it could never be served. */
  #fits(docs: number, bytes: number): boolean {
    const fits = this.#docs + docs <= this.limits.docs && this.#bytes + bytes <= this.limits.bytes;
    return fits || this.#docs === 0;
  }
}
