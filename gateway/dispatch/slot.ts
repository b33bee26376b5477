import { takeFirst } from '../../src/list.js';
import type { Replica } from '../../src/transport/transport.js';
import { Circuit } from './circuit.js';
import type { Batch } from './item.js';

/** Batches whose late answers are waited for; those before are given up, as they may never be answered. */
const MAX_LATE = 4;

/** What a dispatcher knows of one replica: the batches that it gave to it, and whether it gets more. */
export class Slot {
  readonly circuit: Circuit;
  #running: Batch[] = [];
  /** Batches whose documents were given to another replica, as this one did not answer in time. */
  #late: Batch[] = [];
  /** Documents of other gateways that the replica had when it last told. */
  #others = 0;

  /** @param onTry the replica may be tried again after its circuit was open */
  constructor(
    readonly replica: Replica,
    onTry: () => void,
  ) {
    this.circuit = new Circuit(onTry);
  }

  get id(): string {
    return this.replica.info.id;
  }

  get ready(): boolean {
    return this.replica.info.state === 'ready' && !this.circuit.open;
  }

  get documents(): number {
    let documents = 0;
    for (const { items } of this.#running) documents += items.length;
    return documents;
  }

  /** Documents that the replica holds, as far as this gateway knows. */
  get load(): number {
    return this.documents + this.#others;
  }

  /** Other gateways give it work too. */
  get shared(): boolean {
    return this.#others > 0;
  }

  /** The replica told how many documents it holds, from all gateways. */
  told(held: number): void {
    this.#others = Math.max(0, held - this.documents);
  }

  /** @param alone for a batch that nothing else may run beside */
  hasRoom(alone: boolean): boolean {
    if (!this.ready || this.#running.some(({ suspect }) => suspect)) return false;
    // What others gave it is computed while ours is prepared: a second one of ours would only wait there.
    const single = alone || this.circuit.trying || this.shared;
    return this.#running.length < (single ? 1 : this.replica.info.credit);
  }

  take(batch: Batch): void {
    this.#running.push(batch);
  }

  /** The batch is in other hands; its answer still tells that the replica lives. */
  hung(batch: Batch): void {
    this.circuit.hung();
    takeFirst(this.#running, (one) => one === batch);
    this.#late.push(batch);
    if (this.#late.length > MAX_LATE) this.#late[0]?.giveUp();
  }

  /** Nobody waits for the batch any more, after `ms`. True when the replica hangs: short deadlines must not hide it. */
  givenUp(batch: Batch, ms: number, patienceMs: number): boolean {
    return !this.isLate(batch) && this.circuit.silent(ms, patienceMs);
  }

  isLate(batch: Batch): boolean {
    return this.#late.includes(batch);
  }

  release(batch: Batch): void {
    for (const batches of [this.#running, this.#late]) takeFirst(batches, (one) => one === batch);
  }
}
