import { Batch, type Item, type LaneSpec } from './item.js';

/** Bytes of documents in a batch at most, unless a single document is larger: a replica holds two batches at a time. */
const MAX_BATCH_BYTES = 32 * 1024 * 1024;

interface Lane {
  spec: LaneSpec;
  items: Item[];
  /** Number of the oldest item: lanes take turns by age. */
  head: number;
}

/** What waits for one executor: a first-in-first-out lane for each kind of batch, and batches to try again before all. */
export class Lanes {
  #lanes = new Map<string, Lane>();
  #again: Batch[] = [];
  #arrivals = new WeakMap<Item, number>();
  #lastArrival = 0;

  get empty(): boolean {
    return this.#lanes.size === 0 && this.#again.length === 0;
  }

  push(key: string, item: Item): void {
    const number = ++this.#lastArrival;
    this.#arrivals.set(item, number);
    const lane = this.#lanes.get(key);
    if (lane) lane.items.push(item);
    else this.#lanes.set(key, { spec: item.lane, items: [item], head: number });
  }

  pushAgain(batches: readonly Batch[]): void {
    this.#again.unshift(...batches.filter((batch) => batch.items.length > 0));
  }

  /** True when the next batch must have a replica for itself: if that replica dies, it is clear of what. */
  get nextIsSuspect(): boolean {
    this.#dropSettled();
    return (this.#again[0]?.deaths ?? 0) > 0;
  }

  /** The batch that has waited longest, of at most `size` documents. */
  next(size: number): Batch | undefined {
    this.#dropSettled();
    const again = this.#again.shift();
    if (again) {
      // Filled for another replica, whose batches may be larger.
      const [batch, rest] = again.cut(size);
      this.pushAgain([rest]);
      return batch;
    }
    let oldest: [string, Lane] | undefined;
    for (const entry of this.#lanes) if (!oldest || entry[1].head < oldest[1].head) oldest = entry;
    if (!oldest) return undefined;
    const [key, lane] = oldest;
    const taken: Item[] = [];
    let bytes = 0;
    let seen = 0;
    for (const item of lane.items) {
      bytes += item.doc.byteLength;
      if (taken.length === size || (taken.length > 0 && bytes > MAX_BATCH_BYTES)) break;
      seen += 1;
      if (!item.settled) taken.push(item);
    }
    lane.items.splice(0, seen);
    const [first] = lane.items;
    if (first) lane.head = this.#arrivals.get(first) ?? 0;
    else this.#lanes.delete(key);
    return new Batch(lane.spec, taken, 0);
  }

  /** Everything that waits and is not settled. */
  *items(): Generator<Item> {
    for (const batch of this.#again) yield* batch.items.filter((item) => !item.settled);
    for (const lane of this.#lanes.values()) yield* lane.items.filter((item) => !item.settled);
  }

  /** What was cancelled or has expired is never computed. */
  #dropSettled(): void {
    this.#again = this.#again.filter((batch) => !batch.items.every((item) => item.settled));
    for (const [key, lane] of this.#lanes) {
      if (lane.items[0]?.settled) lane.items = lane.items.filter((item) => !item.settled);
      const [first] = lane.items;
      if (first) lane.head = this.#arrivals.get(first) ?? 0;
      else this.#lanes.delete(key);
    }
  }
}
