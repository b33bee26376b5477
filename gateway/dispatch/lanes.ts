import { FairQueue } from './fair-queue.js';
import { Batch, type Item, type LaneSpec, type Priority } from './item.js';

/** Bytes of documents in a batch at most, unless a single document is larger: a replica holds two batches at a time. */
const MAX_BATCH_BYTES = 32 * 1024 * 1024;

/** Every so many batches bulk work goes first, so that it is slowed down by interactive work, but never stopped. */
const BULK_TURN = 8;

interface Lane {
  spec: LaneSpec;
  queues: Record<Priority, FairQueue>;
}

/** What waits for one executor: a lane for each kind of batch, and batches to try again before all. */
export class Lanes {
  /** The one that was served longest ago first. */
  #lanes = new Map<string, Lane>();
  #again: Batch[] = [];
  #batches = 0;

  get empty(): boolean {
    return this.#lanes.size === 0 && this.#again.length === 0;
  }

  push(key: string, item: Item): void {
    let lane = this.#lanes.get(key);
    if (!lane) {
      lane = { spec: item.lane, queues: { interactive: new FairQueue(), bulk: new FairQueue() } };
      this.#lanes.set(key, lane);
    }
    lane.queues[item.priority].push(item);
  }

  pushAgain(batches: readonly Batch[]): void {
    this.#again.unshift(...batches.filter((batch) => batch.items.length > 0));
  }

  /** True when the next batch must have a replica for itself. */
  get nextIsSuspect(): boolean {
    this.#dropSettled();
    return this.#again[0]?.suspect ?? false;
  }

  /** A batch of at most `size` documents: interactive work before bulk work, lanes and callers in turn. */
  next(size: number): Batch | undefined {
    this.#dropSettled();
    const again = this.#again.shift();
    if (again) {
      // Filled for another replica, whose batches may be larger.
      const [batch, rest] = again.cut(size);
      this.pushAgain([rest]);
      return batch;
    }
    const order: Priority[] = ++this.#batches % BULK_TURN === 0 ? ['bulk', 'interactive'] : ['interactive', 'bulk'];
    for (const priority of order) {
      for (const [key, lane] of this.#lanes) {
        if (!lane.queues[priority].peek()) continue;
        const items = fill(
          order.map((one) => lane.queues[one]),
          size,
        );
        this.#lanes.delete(key);
        if (waits(lane)) this.#lanes.set(key, lane);
        return new Batch(lane.spec, items);
      }
    }
    return undefined;
  }

  /** Everything that waits and is not settled. */
  *items(): Generator<Item> {
    for (const batch of this.#again) yield* batch.items.filter((item) => !item.settled);
    for (const { queues } of this.#lanes.values()) {
      yield* queues.interactive;
      yield* queues.bulk;
    }
  }

  /** What was cancelled or has expired is never computed. */
  #dropSettled(): void {
    this.#again = this.#again.filter((batch) => !batch.items.every((item) => item.settled));
    for (const [key, lane] of this.#lanes) if (!waits(lane)) this.#lanes.delete(key);
  }
}

function waits({ queues }: Lane): boolean {
  return (queues.interactive.peek() ?? queues.bulk.peek()) !== undefined;
}

/** Takes from the first queue, then fills up from the second. */
function fill(queues: readonly FairQueue[], size: number): Item[] {
  const taken: Item[] = [];
  let bytes = 0;
  for (const queue of queues) {
    for (let item = queue.peek(); item && taken.length < size; item = queue.peek()) {
      bytes += item.doc.byteLength;
      if (taken.length > 0 && bytes > MAX_BATCH_BYTES) return taken;
      queue.take();
      taken.push(item);
    }
  }
  return taken;
}
