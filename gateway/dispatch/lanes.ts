import { takeFirst } from '../../src/list.js';
import { FairQueue } from './fair-queue.js';
import { Batch, type Item, type LaneSpec, type Priority } from './item.js';

/** Bytes of documents in a batch at most, unless a single document is larger: a replica holds two batches at a time. */
const MAX_BATCH_BYTES = 32 * 1024 * 1024;

/** After so many interactive batches bulk work goes first: they slow it down, but never stop it. */
const BULK_TURN = 7;

/** For how much bulk work there is room. */
export interface BulkRoom {
  documents: (lane: LaneSpec) => number;
  /** Also in a batch without interactive work. */
  only: boolean;
}

interface Lane {
  spec: LaneSpec;
  queues: Record<Priority, FairQueue>;
}

/** What waits for one executor: a lane for each kind of batch, and batches to try again before all. */
export class Lanes {
  /** The one that was served longest ago first. */
  #lanes: Lane[] = [];
  #again: Batch[] = [];
  /** Interactive batches since the last one of bulk work. */
  #withoutBulk = 0;

  get empty(): boolean {
    return this.#lanes.length === 0 && this.#again.length === 0;
  }

  push(item: Item): void {
    let lane = this.#lanes.find(({ spec }) => spec.key === item.lane.key);
    if (!lane) {
      lane = { spec: item.lane, queues: { interactive: new FairQueue(), bulk: new FairQueue() } };
      this.#lanes.push(lane);
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
  next(size: number, room: BulkRoom): Batch | undefined {
    this.#dropSettled();
    const bulkFirst = this.#withoutBulk >= BULK_TURN;
    const [again] = this.#again;
    const isBulk = again?.documents.interactive === 0;
    if (again && (!isBulk || room.only || bulkFirst)) {
      this.#again.shift();
      // Filled for another replica, whose batches may be larger, or while no interactive requests came.
      const [batch, rest] = again.cut(isBulk ? room.documents(again.lane) : size);
      this.pushAgain([rest]);
      if (isBulk) this.#withoutBulk = 0;
      return batch;
    }
    const order: Priority[] = bulkFirst ? ['bulk', 'interactive'] : ['interactive', 'bulk'];
    for (const priority of order) {
      if (priority === 'bulk' && !bulkFirst && !room.only) continue;
      const lane = takeFirst(this.#lanes, ({ queues }) => queues[priority].peek() !== undefined);
      if (!lane) continue;
      const items = fill(lane, order, size, room.documents(lane.spec));
      if (waits(lane)) this.#lanes.push(lane);
      this.#withoutBulk = priority === 'bulk' ? 0 : this.#withoutBulk + 1;
      return new Batch(lane.spec, items);
    }
    return undefined;
  }

  /** Everything that waits and is not settled. */
  *items(): Generator<Item> {
    for (const batch of this.#again) yield* batch.items.filter((item) => !item.settled);
    for (const { queues } of this.#lanes) {
      yield* queues.interactive;
      yield* queues.bulk;
    }
  }

  /** What was cancelled or has expired is never computed. */
  #dropSettled(): void {
    this.#again = this.#again.filter((batch) => !batch.items.every((item) => item.settled));
    this.#lanes = this.#lanes.filter(waits);
  }
}

function waits({ queues }: Lane): boolean {
  return (queues.interactive.peek() ?? queues.bulk.peek()) !== undefined;
}

/** Takes from the first queue, then fills up from the second: with bulk work as long as there are no more than `bulkSize`. */
function fill({ queues }: Lane, order: readonly Priority[], size: number, bulkSize: number): Item[] {
  const taken: Item[] = [];
  let bytes = 0;
  for (const priority of order) {
    const most = priority === 'bulk' ? bulkSize : size;
    for (let item = queues[priority].peek(); item && taken.length < most; item = queues[priority].peek()) {
      bytes += item.doc.byteLength;
      if (taken.length > 0 && bytes > MAX_BATCH_BYTES) return taken;
      queues[priority].take();
      taken.push(item);
    }
  }
  return taken;
}
