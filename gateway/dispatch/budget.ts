import { ClipflowError } from '../../src/errors.js';

/** Bounds what waits in all queues of a gateway together: past it, new work is refused at once. */
export class Budget {
  #docs = 0;
  #bytes = 0;

  constructor(private readonly limits: { docs: number; bytes: number }) {}

  get docs(): number {
    return this.#docs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  take(docs: number, bytes: number): void {
    // A single request larger than the whole budget passes when nothing else waits: else it could never be served.
    const over = this.#docs + docs > this.limits.docs || this.#bytes + bytes > this.limits.bytes;
    if (over && this.#docs > 0) {
      throw new ClipflowError(
        'OVERLOADED',
        `the queue is full (${this.#docs} of ${this.limits.docs} documents, ${this.#bytes} of ${this.limits.bytes} bytes): try again later`,
      );
    }
    this.#docs += docs;
    this.#bytes += bytes;
  }

  give(docs: number, bytes: number): void {
    this.#docs -= docs;
    this.#bytes -= bytes;
  }
}
