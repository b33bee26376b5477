import type { Outcome } from '../../src/call.js';
import type { JsonObject } from '../../src/json.js';

/** What must be equal for documents to share a batch. */
export interface LaneSpec {
  endpoint: string;
  /** Kind of content (text, blob, ...): one batch feeds one tower of the model. */
  kind: string;
  parameters: JsonObject;
}

/** Bulk work takes the room that interactive work leaves. */
export type Priority = 'interactive' | 'bulk';

/** For whom a document is computed. */
export interface Share {
  /** Callers have equal shares of the replicas: a token's name, or a connection. */
  caller: string;
  priority: Priority;
}

/** One document that waits or is being computed. Settled exactly once. */
export class Item {
  #settle: ((outcome: Outcome) => void) | undefined;
  /** The batch that holds the item at the moment. */
  batch: Batch | undefined;

  constructor(
    readonly doc: Uint8Array,
    readonly lane: LaneSpec,
    private readonly share: Share,
    settle: (outcome: Outcome) => void,
  ) {
    this.#settle = settle;
  }

  get caller(): string {
    return this.share.caller;
  }

  get priority(): Priority {
    return this.share.priority;
  }

  /** Answered, cancelled or expired: nothing that comes later for it counts. */
  get settled(): boolean {
    return this.#settle === undefined;
  }

  settle(outcome: Outcome): void {
    const settle = this.#settle;
    if (!settle) return;
    this.#settle = undefined;
    settle(outcome);
    this.batch?.itemSettled();
  }
}

/** Documents that go to a replica together. */
export class Batch {
  readonly #controller = new AbortController();

  constructor(
    readonly lane: LaneSpec,
    readonly items: readonly Item[],
    /** Replicas that died while they held these documents. */
    readonly deaths: number,
  ) {
    for (const item of items) item.batch = this;
  }

  /** Aborts when nobody waits for any of the documents any more. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  itemSettled(): void {
    if (this.items.every((item) => item.settled)) this.#controller.abort();
  }

  /**
   * What to do after a replica died under this batch. A batch that two replicas did not survive is halved, and halved
   * again, until the document that kills is alone; `lost` is what has used up its retries.
   */
  afterDeath(retries: number): { again: Batch[]; lost: readonly Item[] } {
    const deaths = this.deaths + 1;
    const open = this.#open();
    if (retries === 0 || (open.length === 1 && deaths > retries)) return { again: [], lost: open };
    if (deaths < 2 || open.length < 2) return { again: [new Batch(this.lane, open, deaths)], lost: [] };
    const half = Math.ceil(open.length / 2);
    const parts = [open.slice(0, half), open.slice(half)];
    return { again: parts.map((part) => new Batch(this.lane, part, deaths)), lost: [] };
  }

  /** The same documents again, after a break that is nobody's fault. */
  again(): Batch {
    return new Batch(this.lane, this.#open(), this.deaths);
  }

  /** Two batches of what is still open: the first `size` documents, and the others. */
  cut(size: number): [Batch, Batch] {
    const open = this.#open();
    const part = (items: readonly Item[]): Batch => new Batch(this.lane, items, this.deaths);
    return [part(open.slice(0, size)), part(open.slice(size))];
  }

  #open(): Item[] {
    return this.items.filter((item) => !item.settled);
  }
}
