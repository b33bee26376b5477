import { decodeOutcomes, encodeCall, type Outcome } from '../../src/call.js';
import { toClipflowError, type ClipflowError, type ErrorData } from '../../src/errors.js';
import type { JsonObject } from '../../src/json.js';
import type { Replica } from '../../src/transport/transport.js';
import { Item, type Batch, type LaneSpec, type Priority, type Share } from './item.js';
import { Lanes } from './lanes.js';

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
  signal?: AbortSignal | undefined;
  /** Milliseconds from now until the documents are answered with DEADLINE_EXCEEDED. */
  timeoutMs?: number | undefined;
}

export interface DispatchObserver {
  batchSent(documents: number): void;
  batchDone(documents: number, seconds: number): void;
  replicaDied(replica: string, documents: number): void;
}

/** How long work waits while no replica is ready, before it is answered with UNAVAILABLE. */
const HOLD_MS = 20_000;

/** What Node's timers count to; they would end a longer time at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

interface Slot {
  replica: Replica;
  /** Batches and documents of this gateway that the replica holds. */
  batches: number;
  documents: number;
  /** Holds a suspect batch: nothing else is sent meanwhile. */
  exclusive: boolean;
}

/**
 * Spreads the documents for one executor (one shard of it) over its replicas. Needs no timer: whenever a replica has
 * credit it gets what waits, up to its batch size, at once; while none has, documents gather. The replica with the
 * fewest outstanding documents is served first.
 */
export class Dispatcher {
  #lanes = new Lanes();
  #slots = new Map<string, Slot>();
  #holdTimer: NodeJS.Timeout | undefined;

  constructor(
    readonly executor: string,
    /** Further replicas that documents are given to when one died under them. */
    private readonly retries: number,
    private readonly observer: DispatchObserver,
  ) {}

  /** Documents that each replica holds, by its id. */
  outstanding(id: string): number {
    return this.#slots.get(id)?.documents ?? 0;
  }

  get hasReadyReplica(): boolean {
    return [...this.#slots.values()].some(({ replica }) => replica.info.state === 'ready');
  }

  /** A replica joined or changed. */
  replicaChanged(replica: Replica): void {
    if (this.#slots.get(replica.info.id)?.replica !== replica) {
      this.#slots.set(replica.info.id, { replica, batches: 0, documents: 0, exclusive: false });
    }
    this.#pump();
    this.#watchHold();
  }

  replicaGone(replica: Replica): void {
    if (this.#slots.get(replica.info.id)?.replica === replica) this.#slots.delete(replica.info.id);
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
        const parameters = JSON.stringify(options.parameters);
        const { caller = '', priority = 'interactive' } = options;
        const share: Share = { caller, priority };
        const specs = new Map<string, LaneSpec>();
        const items = work.map(({ doc, kind }, index) => {
          const key = `${options.endpoint}\n${kind}\n${parameters}`;
          const spec = specs.get(key) ?? { endpoint: options.endpoint, kind, parameters: options.parameters };
          specs.set(key, spec);
          const item = new Item(doc, spec, share, (outcome) => {
            outcomes[index] = outcome;
            if (--open === 0) resolve(outcomes);
          });
          this.#lanes.push(key, item);
          return item;
        });
        end = giveUpOn(items, options);
        this.#pump();
        this.#watchHold();
      });
    } finally {
      end();
    }
  }

  #pump(): void {
    for (;;) {
      if (this.#lanes.empty) return;
      const slot = this.#freeSlot(this.#lanes.nextIsSuspect);
      if (!slot) return;
      const batch = this.#lanes.next(slot.replica.info.batchSize);
      if (!batch) return;
      void this.#run(slot, batch);
    }
  }

  #freeSlot(alone: boolean): Slot | undefined {
    let best: Slot | undefined;
    for (const slot of this.#slots.values()) {
      if (slot.replica.info.state !== 'ready' || slot.exclusive) continue;
      if (slot.batches >= (alone ? 1 : slot.replica.info.credit)) continue;
      if (!best || slot.documents < best.documents) best = slot;
    }
    return best;
  }

  async #run(slot: Slot, batch: Batch): Promise<void> {
    const { lane, items } = batch;
    const started = performance.now();
    slot.batches += 1;
    slot.documents += items.length;
    slot.exclusive = batch.deaths > 0;
    this.observer.batchSent(items.length);
    try {
      const call = encodeCall({ ...lane, docs: items.map((item) => item.doc) });
      const answer = await slot.replica.call(call, { signal: batch.signal });
      const outcomes = decodeOutcomes(answer, items.length);
      items.forEach((item, index) => item.settle(outcomes[index] ?? missing()));
      this.observer.batchDone(items.length, (performance.now() - started) / 1000);
    } catch (thrown) {
      this.#failed(slot, batch, toClipflowError(thrown));
    } finally {
      slot.batches -= 1;
      slot.documents -= items.length;
      slot.exclusive = false;
      this.#moveToEnd(slot);
      this.#pump();
    }
  }

  /** Replicas that are equally free take turns. */
  #moveToEnd(slot: Slot): void {
    const { id } = slot.replica.info;
    if (this.#slots.get(id) !== slot) return;
    this.#slots.delete(id);
    this.#slots.set(id, slot);
  }

  #failed(slot: Slot, batch: Batch, error: ClipflowError): void {
    if (error.code === 'TRANSPORT_FAILED') {
      this.#lanes.pushAgain([batch.again()]);
    } else if (error.code === 'REPLICA_LOST') {
      this.observer.replicaDied(slot.replica.info.id, batch.items.length);
      const { again, lost } = batch.afterDeath(this.retries);
      this.#lanes.pushAgain(again);
      for (const item of lost) item.settle({ error: this.#diedUnder(batch.deaths + 1) });
    } else {
      for (const item of batch.items) item.settle({ error: error.toJSON() });
    }
    this.#watchHold();
  }

  #diedUnder(deaths: number): ErrorData {
    if (deaths === 1)
      return { code: 'REPLICA_LOST', message: `the replica of "${this.executor}" that held it is gone` };
    return {
      code: 'DOCUMENT_KILLS',
      message: `each of ${deaths} replicas of "${this.executor}" died under this document`,
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
      const message = `executor "${this.executor}" has had no ready replica for ${HOLD_MS / 1000} s`;
      for (const item of this.#lanes.items()) item.settle({ error: { code: 'UNAVAILABLE', message } });
    }, HOLD_MS).unref();
  }
}

/** Settles what is still open when the caller goes away or the time is up; returns a function that stops watching. */
function giveUpOn(items: readonly Item[], { signal, timeoutMs }: SubmitOptions): () => void {
  const settleAll = (code: 'CANCELLED' | 'DEADLINE_EXCEEDED', message: string): void => {
    for (const item of items) item.settle({ error: { code, message } });
  };
  const onAbort = (): void => settleAll('CANCELLED', 'the caller went away');
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(
          () => settleAll('DEADLINE_EXCEEDED', `no answer within ${Math.round(timeoutMs)} ms`),
          Math.min(timeoutMs, MAX_TIMER_MS),
        );
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  };
}

function missing(): Outcome {
  return { error: { code: 'INTERNAL', message: 'the replica did not answer this document' } };
}
