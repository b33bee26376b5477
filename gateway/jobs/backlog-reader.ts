import type { Backlog } from '../../src/jobs/backlog.js';

const FRESH_MS = 1000;

/** Reads the backlog when somebody asks: once a second at most, however many do. */
export class BacklogReader {
  #last: { at: number; backlog: Promise<Backlog> } | undefined;

  constructor(private readonly readNow: () => Promise<Backlog>) {}

  /** @throws UNAVAILABLE when Redis cannot be reached */
  read(): Promise<Backlog> {
    const now = performance.now();
    if (!this.#last || now - this.#last.at >= FRESH_MS) this.#last = { at: now, backlog: this.readNow() };
    return this.#last.backlog;
  }
}

export function documentsOf({ queuedDocuments, activeDocuments }: Backlog): number {
  return queuedDocuments + activeDocuments;
}
