import type { Outcome } from '../../src/call.js';
import { ClipflowError } from '../../src/errors.js';
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

/** What becomes of a batch that a replica did not answer. */
export interface Retry {
  again: Batch[];
  /** What has used up its retries. */
  lost: readonly Item[];
  /** Replicas that died or hung with these documents. */
  failures: number;
}

/** Why a batch is given up. One for all: a reason of its own for each, with its stack, costs more than the rest of a batch. */
const NOBODY_WAITS = new ClipflowError('CANCELLED', 'nobody waits for these documents any more');

/** Documents that go to a replica together. */
export class Batch {
  readonly #controller = new AbortController();
  #waitedFor: number;

  constructor(
    readonly lane: LaneSpec,
    readonly items: readonly Item[],
    /** Replicas that died while they held these documents. */
    readonly deaths = 0,
    /** Replicas that did not answer these documents in time. */
    readonly hangs = 0,
  ) {
    for (const item of items) item.batch = this;
    this.#waitedFor = this.#open().length;
  }

  /** Aborts when nobody waits for any of the documents any more. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Must have a replica for itself: if that one fails too, it is clear of what. One hang may be mere slowness. */
  get suspect(): boolean {
    return this.deaths > 0 || this.hangs > 1;
  }

  itemSettled(): void {
    if (--this.#waitedFor === 0) this.giveUp();
  }

  giveUp(): void {
    this.#controller.abort(NOBODY_WAITS);
  }

  /** What to do after a replica died under this batch. */
  afterDeath(retries: number): Retry {
    return this.#after(retries, this.deaths + 1, this.hangs);
  }

  /** What to do after a replica hung with this batch; its late answer may still settle the documents. */
  afterHang(retries: number): Retry {
    return this.#after(retries, this.deaths, this.hangs + 1);
  }

  /** The same documents again, after a break that is nobody's fault. */
  again(): Batch {
    return new Batch(this.lane, this.#open(), this.deaths, this.hangs);
  }

  /** Two batches of what is still open: the first `size` documents, and the others. */
  cut(size: number): [Batch, Batch] {
    const open = this.#open();
    const part = (items: readonly Item[]): Batch => new Batch(this.lane, items, this.deaths, this.hangs);
    return [part(open.slice(0, size)), part(open.slice(size))];
  }

  /** A batch that two replicas failed under is halved, and halved again, until the document that does it is alone. */
  #after(retries: number, deaths: number, hangs: number): Retry {
    const failures = deaths + hangs;
    const open = this.#open();
    if (retries === 0 || (open.length === 1 && failures > retries)) return { again: [], lost: open, failures };
    const half = failures < 2 ? open.length : Math.ceil(open.length / 2);
    const parts = [open.slice(0, half), open.slice(half)].filter((part) => part.length > 0);
    return { again: parts.map((part) => new Batch(this.lane, part, deaths, hangs)), lost: [], failures };
  }

  #open(): Item[] {
    return this.items.filter((item) => !item.settled);
  }
}
