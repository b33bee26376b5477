import { decodeOutcomes, encodeCall, type Outcome } from '../../src/call.js';
import type { CancelSignal } from '../../src/cancel.js';
import { toClipflowError, type ClipflowError, type ErrorCode, type ErrorData } from '../../src/errors.js';
import type { JsonObject } from '../../src/json.js';
import type { Replica } from '../../src/transport/transport.js';
import { BulkPace } from './bulk-pace.js';
import { giveUpOn } from './give-up.js';
import { Hedge } from './hedge.js';
import { Item, laneSpec, type Batch, type LaneSpec, type Priority, type Retry, type Share } from './item.js';
import { Lanes } from './lanes.js';
import { MAX_TIMER_MS, Patience } from './patience.js';
import type { Slot } from './slot.js';
import { Slots } from './slots.js';

/** A document as a protocol hands it over. */
export interface Work {
  doc: Uint8Array;
  kind: string;
}

export interface SubmitOptions {
  endpoint: string;
  parameters: JsonObject;
  /** Callers have equal shares; one who is not named shares with all who are not. */
  caller?: string | undefined;
  /** @default interactive */
  priority?: Priority | undefined;
  /** Takes the documents that still wait out of the queue and gives up those that are computed. */
  signal?: CancelSignal | undefined;
  /** Milliseconds from now until the documents are answered with DEADLINE_EXCEEDED. */
  timeoutMs?: number | undefined;
}

export interface DispatchObserver {
  batchSent(documents: number): void;
  batchDone(documents: number, seconds: number): void;
  replicaDied(replica: string, documents: number): void;
  /** Nothing came back for so long that it gets no more, and `documents` that somebody waits for go to another. */
  replicaHung(replica: string, documents: number): void;
  /** `documents` that `replica` has had for too long were given to a second one as well. */
  batchHedged(replica: string, documents: number): void;
  /** The second one was first to answer. */
  hedgeWon(): void;
}

export interface DispatcherOptions {
  executor: string;
  /** Further replicas that documents are given to when one died or hung under them. */
  retries: number;
  /** Milliseconds after which a batch may be taken for hung, however quick others are. */
  hangMs: number;
  /** How many times the 99th percentile a batch may take before a second replica is asked too. Default: none is. */
  hedge?: number | undefined;
  /** Milliseconds that a batch of bulk work may take beside interactive requests, however quick these are. */
  bulkBatchMs: number;
  /** Milliseconds that work waits while no replica is ready, before it is answered with UNAVAILABLE. */
  holdMs: number;
}

/** Failures of the replica rather than of what it was asked. */
const REPLICA_FAULTS: readonly ErrorCode[] = ['EXECUTOR_FAILED', 'INTERNAL'];

/**
 * Spreads the documents for one executor (one shard of it) over its replicas. Needs no timer: whenever a replica has
 * credit it gets what waits, up to its batch size, in the same turn of the event loop; while none has, documents gather. Which replica is served
 * first, `Slots` tells. Timers run only for what has been sent: see `Patience` and `Hedge`.
 */
export class Dispatcher {
  #lanes = new Lanes();
  #patience: Patience;
  #hedge: Hedge | undefined;
  #pace: BulkPace;
  #slots = new Slots(() => this.#proceed());
  #holdTimer: NodeJS.Timeout | undefined;
  #willProceed = false;
  /** Documents that replicas answered. */
  #done = 0;

  /** @param soon when documents that came go to replicas. Default: after this turn of the event loop */
  constructor(
    private readonly options: DispatcherOptions,
    private readonly observer: DispatchObserver,
    private readonly soon: (run: () => void) => void = setImmediate,
  ) {
    this.#patience = new Patience(options.hangMs);
    this.#pace = new BulkPace(options.bulkBatchMs);
    if (options.hedge !== undefined) this.#hedge = new Hedge(options.hedge);
  }

  /** As `ExecutorLoad` has it; `oldest` is since when the first document waits (by `performance.now()`). */
  load(): { queued: number; running: number; oldest: number; busy: number; done: number } {
    let [queued, oldest] = [0, Infinity];
    for (const item of this.#lanes.items()) {
      queued += 1;
      oldest = Math.min(oldest, item.since);
    }
    return { queued, running: this.#slots.documents, oldest, busy: this.#slots.busy, done: this.#done };
  }

  /** Documents that each replica holds, by its id. */
  outstanding(id: string): number {
    return this.#slots.get(id)?.documents ?? 0;
  }

  get hasReadyReplica(): boolean {
    return this.#slots.anyReady;
  }

  /** A replica joined or changed. */
  replicaChanged(replica: Replica): void {
    this.#slots.changed(replica);
    this.#proceed();
  }

  replicaGone(replica: Replica): void {
    this.#slots.gone(replica);
    this.#watchHold();
  }

  /** One outcome per document, in the order given. */
  async submit(work: readonly Work[], options: SubmitOptions): Promise<Outcome[]> {
    if (work.length === 0) return [];
    let end = (): void => {};
    try {
      return await new Promise<Outcome[]>((resolve) => {
        const outcomes = new Array<Outcome>(work.length);
        let open = work.length;
        const { endpoint, parameters, caller = '', priority = 'interactive' } = options;
        const share: Share = { caller, priority };
        if (priority === 'interactive') this.#pace.interactiveCame();
        const specs: LaneSpec[] = [];
        const specOf = (kind: string): LaneSpec => {
          let spec = specs.find((one) => one.kind === kind);
          if (!spec) specs.push((spec = laneSpec(endpoint, kind, parameters)));
          return spec;
        };
        const items = work.map(({ doc, kind }, index) => {
          const item = new Item(doc, specOf(kind), share, (outcome) => {
            outcomes[index] = outcome;
            if (--open === 0) resolve(outcomes);
          });
          this.#lanes.push(item);
          return item;
        });
        end = giveUpOn(items, options);
        this.#proceedSoon();
      });
    } finally {
      end();
    }
  }

  /** Requests that arrive in one read of the socket share a batch: without this, the first would go alone. */
  #proceedSoon(): void {
    if (this.#willProceed) return;
    this.#willProceed = true;
    this.soon(() => {
      this.#willProceed = false;
      this.#proceed();
    });
  }

  /** After anything that may let documents go to a replica, or keep them waiting. */
  #proceed(): void {
    this.#pump();
    this.#watchHold();
  }

  #pump(): void {
    for (;;) {
      if (this.#lanes.empty) return;
      const slot = this.#slots.free(this.#lanes.nextIsSuspect);
      if (!slot) return;
      const { batchSize } = slot.replica.info;
      const documents = (lane: LaneSpec): number => this.#pace.documents(lane, batchSize);
      // What is prefetched behind a batch makes who comes next wait for both.
      const batch = this.#lanes.next(batchSize, { documents, only: slot.documents === 0 || !this.#pace.yields });
      if (!batch) return;
      void this.#run(slot, batch);
    }
  }

  async #run(slot: Slot, batch: Batch): Promise<void> {
    const { lane, items } = batch;
    const { endpoint, parameters } = lane;
    const started = performance.now();
    const patience = this.#patience.of(lane, items.length);
    const timer = setTimeout(() => this.#hung(slot, batch), patience).unref();
    const endHedge = this.#hedgeLater(slot, batch);
    const alone = slot.load === 0;
    slot.take(batch);
    this.observer.batchSent(items.length);
    try {
      const call = encodeCall({ endpoint, parameters, docs: items.map((item) => item.doc) });
      const answer = await slot.replica.call(call, { signal: batch.signal });
      const { outcomes, held } = decodeOutcomes(answer, items.length);
      const ms = performance.now() - started;
      this.#done += items.length;
      slot.circuit.answered();
      slot.release(batch);
      slot.told(held);
      this.#patience.learn(lane, items.length, ms);
      this.#hedge?.learn(lane, items.length, ms);
      if (alone) this.#pace.learn(lane, batch.documents, slot.replica.info.batchSize, ms);
      if (batch.isHedge) this.observer.hedgeWon();
      batch.answered();
      // Late or not: the first answer to a document counts.
      items.forEach((item, index) => item.settle(outcomes[index] ?? missing()));
      this.observer.batchDone(items.length, ms / 1000);
    } catch (thrown) {
      if (!batch.signal.aborted) this.#failed(slot, batch, toClipflowError(thrown));
      else if (slot.givenUp(batch, performance.now() - started, patience)) this.observer.replicaHung(slot.id, 0);
    } finally {
      clearTimeout(timer);
      endHedge();
      slot.release(batch);
      this.#slots.moveToEnd(slot);
      this.#proceed();
    }
  }

  /**
   * One that is suspect has its replica for itself, and one that is a hedge is not hedged again. Where no replica is free
   * for it at the time, it is tried again after the same time.
   * @returns ends the wait
   */
  #hedgeLater(slot: Slot, batch: Batch): () => void {
    const ms = batch.suspect || batch.isHedge ? undefined : this.#hedge?.after(batch.lane, batch.items.length);
    if (ms === undefined || !Number.isFinite(ms)) return () => {};
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      timer = setTimeout(() => this.#hedgeNow(slot, batch) || arm(), Math.min(ms, MAX_TIMER_MS)).unref();
    };
    arm();
    return () => clearTimeout(timer);
  }

  /**
   * Only on a replica that has nothing better to do: to bulk work, interactive requests that may come are.
   * @returns whether it is done with: a second replica has the documents
   */
  #hedgeNow(slot: Slot, batch: Batch): boolean {
    if (slot.isLate(batch)) return true;
    if (batch.documents.interactive === 0 && this.#pace.yields) return false;
    const second = this.#lanes.empty ? this.#slots.free(false, slot) : undefined;
    if (!second || !this.#hedge?.take()) return false;
    this.observer.batchHedged(slot.id, batch.items.length);
    void this.#run(second, batch.hedge());
    return true;
  }

  /** The batch is not cancelled: when the replica was only slow, its answer still comes, and closes its circuit. */
  #hung(slot: Slot, batch: Batch): void {
    this.observer.replicaHung(slot.id, batch.items.length);
    slot.hung(batch);
    this.#retry(batch.afterHang(this.options.retries));
    this.#proceed();
  }

  #failed(slot: Slot, batch: Batch, error: ClipflowError): void {
    const late = slot.isLate(batch); // Then the documents are in other hands.
    if (error.code === 'TRANSPORT_FAILED') {
      if (!late) this.#lanes.pushAgain([batch.again()]);
    } else if (error.code === 'REPLICA_LOST') {
      this.observer.replicaDied(slot.id, batch.items.length);
      if (!late) this.#retry(batch.afterDeath(this.options.retries));
    } else {
      this.#judge(slot, error.code);
      if (!late) for (const item of batch.items) item.settle({ error: error.toJSON() });
    }
  }

  #judge(slot: Slot, code: ErrorCode): void {
    if (REPLICA_FAULTS.includes(code)) slot.circuit.failed(this.#slots.othersHealthy(slot));
    else slot.circuit.answered();
  }

  #retry({ again, lost, failures }: Retry): void {
    this.#lanes.pushAgain(again);
    for (const item of lost) item.settle({ error: this.#unanswered(failures) });
  }

  #unanswered(failures: number): ErrorData {
    if (failures === 1) {
      return {
        code: 'REPLICA_LOST',
        message: `the replica of "${this.options.executor}" that held it is gone or hangs`,
      };
    }
    return {
      code: 'DOCUMENT_KILLS',
      message: `each of ${failures} replicas of "${this.options.executor}" died or hung under this document`,
    };
  }

  /** While no replica is ready, work is held for a while: one may be starting, or coming back. */
  #watchHold(): void {
    if (this.hasReadyReplica || this.#lanes.empty) {
      clearTimeout(this.#holdTimer);
      this.#holdTimer = undefined;
      return;
    }
    this.#holdTimer ??= setTimeout(() => {
      this.#holdTimer = undefined;
      if (this.hasReadyReplica) return;
      const message = `executor "${this.options.executor}" has had no ready replica for ${this.options.holdMs / 1000} s`;
      for (const item of this.#lanes.items()) item.settle({ error: { code: 'UNAVAILABLE', message } });
    }, this.options.holdMs).unref();
  }
}

function missing(): Outcome {
  return { error: { code: 'INTERNAL', message: 'the replica did not answer this document' } };
}
