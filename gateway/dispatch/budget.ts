import { ClipflowError } from '../../src/errors.js';

interface Waiter {
  docs: number;
  bytes: number;
  admit: () => void;
}

/** Bounds what waits in all queues of a gateway together. */
export class Budget {
  #docs = 0;
  #bytes = 0;
  #waiters: Waiter[] = [];
  #admitting = false;

  constructor(private readonly limits: { docs: number; bytes: number }) {}

  get docs(): number {
    return this.#docs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws OVERLOADED at once when the queue is full */
  take(docs: number, bytes: number): void {
    if (!this.#fits(docs, bytes)) {
      throw new ClipflowError(
        'OVERLOADED',
        `the queue is full (${this.#docs} of ${this.limits.docs} documents, ${this.#bytes} of ${this.limits.bytes} bytes): try again later`,
      );
    }
    this.#docs += docs;
    this.#bytes += bytes;
  }

  /** For streams, which are slowed down instead of refused: resolves in turn, once there is room, or when `signal` aborts. */
  async whenFree(docs: number, bytes: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted || (this.#waiters.length === 0 && this.#fits(docs, bytes))) return;
    await new Promise<void>((resolve) => {
      const leave = (): void => {
        this.#waiters = this.#waiters.filter((one) => one !== waiter);
        resolve();
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
    this.#docs -= docs;
    this.#bytes -= bytes;
    this.#admit();
  }

  /**
   * Who is admitted takes room, if at all, before the event loop goes on: then it is the next one's turn. Not everyone
   * does (no executor may be asked), so nobody waits for that.
   */
  #admit(): void {
    const [first] = this.#waiters;
    if (this.#admitting || !first || !this.#fits(first.docs, first.bytes)) return;
    this.#waiters.shift();
    first.admit();
    this.#admitting = true;
    setImmediate(() => {
      this.#admitting = false;
      this.#admit();
    });
  }

  /** What is larger than the whole budget passes when nothing else waits: else it could never be served. */
  #fits(docs: number, bytes: number): boolean {
    const fits = this.#docs + docs <= this.limits.docs && this.#bytes + bytes <= this.limits.bytes;
    return fits || this.#docs === 0;
  }
}
