import type { Outcome } from '../../src/call.js';
import { Cancellation, type CancelSignal } from '../../src/cancel.js';
import type { JsonObject } from '../../src/json.js';

/** What must be equal for documents to share a batch. */
export interface LaneSpec {
  /** Of all the others. */
  key: string;
  endpoint: string;
  /** Kind of content (text, blob, ...): one batch feeds one tower of the model. */
  kind: string;
  parameters: JsonObject;
}

export function laneSpec(endpoint: string, kind: string, parameters: JsonObject): LaneSpec {
  return { key: `${endpoint}\n${kind}\n${JSON.stringify(parameters)}`, endpoint, kind, parameters };
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
  /** The batches that hold the item at the moment: two while a hedge is under way. */
  readonly batches = new Set<Batch>();
  /** When it began to wait, by `performance.now()`. */
  readonly since = performance.now();

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
    for (const batch of this.batches) batch.itemSettled();
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

/** Documents that go to a replica together. */
export class Batch {
  readonly #given = new Cancellation();
  #waitedFor: number;

  constructor(
    readonly lane: LaneSpec,
    readonly items: readonly Item[],
    /** Replicas that died while they held these documents. */
    readonly deaths = 0,
    /** Replicas that did not answer these documents in time. */
    readonly hangs = 0,
    /** Sent while another replica has the same documents: whoever answers first counts. */
    readonly isHedge = false,
  ) {
    for (const item of items) item.batches.add(this);
    this.#waitedFor = items.filter((item) => !item.settled).length;
  }

  /** Aborts when nobody waits for any of the documents any more. */
  get signal(): CancelSignal {
    return this.#given;
  }

  /** By priority, settled or not. */
  get documents(): Record<Priority, number> {
    const bulk = this.items.filter(({ priority }) => priority === 'bulk').length;
    return { bulk, interactive: this.items.length - bulk };
  }

  /** Must have a replica for itself: if that one fails too, it is clear of what. One hang may be mere slowness. */
  get suspect(): boolean {
    return this.deaths > 0 || this.hangs > 1;
  }

  /** Its replica has answered: there is nothing left to give up when the documents are settled. */
  answered(): void {
    this.#waitedFor = Infinity;
  }

  itemSettled(): void {
    if (--this.#waitedFor === 0) this.giveUp();
  }

  giveUp(): void {
    this.#given.abort();
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
    return new Batch(this.lane, this.#letGo(), this.deaths, this.hangs);
  }

  /** What is still open, for a second replica, while the first goes on. */
  hedge(): Batch {
    const open = this.items.filter((item) => !item.settled);
    return new Batch(this.lane, open, this.deaths, this.hangs, true);
  }

  /** Two batches of what is still open: the first `size` documents, and the others. */
  cut(size: number): [Batch, Batch] {
    const open = this.#letGo();
    const part = (items: readonly Item[]): Batch => new Batch(this.lane, items, this.deaths, this.hangs);
    return [part(open.slice(0, size)), part(open.slice(size))];
  }

  /** A batch that two replicas failed under is halved, and halved again, until the document that does it is alone. */
  #after(retries: number, deaths: number, hangs: number): Retry {
    const failures = deaths + hangs;
    const open = this.#letGo();
    if (open.length === 0) return { again: [], lost: [], failures };
    if (retries === 0 || (open.length === 1 && failures > retries)) return { again: [], lost: open, failures };
    const half = failures < 2 ? open.length : Math.ceil(open.length / 2);
    const parts = [open.slice(0, half), open.slice(half)].filter((part) => part.length > 0);
    return { again: parts.map((part) => new Batch(this.lane, part, deaths, hangs)), lost: [], failures };
  }

  /** The documents that are open and in no other batch; from now on this one does not hold them either. */
  #letGo(): Item[] {
    for (const item of this.items) item.batches.delete(this);
    return this.items.filter((item) => !item.settled && item.batches.size === 0);
  }
}
