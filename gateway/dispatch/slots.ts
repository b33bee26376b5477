import { takeFirst } from '../../src/list.js';
import type { Replica } from '../../src/transport/transport.js';
import { Slot } from './slot.js';

/** The replicas of one executor (one shard of it), and which of them is served next. */
export class Slots {
  /** In the order of their turns. */
  #slots: Slot[] = [];

  /** @param onTry a replica that was left out may be tried again */
  constructor(private readonly onTry: () => void) {}

  get(id: string): Slot | undefined {
    return this.#slots.find((slot) => slot.id === id);
  }

  get anyReady(): boolean {
    return this.#slots.some(({ ready }) => ready);
  }

  /** That they hold for this gateway. */
  get documents(): number {
    return this.#slots.reduce((sum, { documents }) => sum + documents, 0);
  }

  /** Replicas that hold documents for this gateway. */
  get busy(): number {
    return this.#slots.filter(({ documents }) => documents > 0).length;
  }

  /** Whether another replica than that of `slot` does well. */
  othersHealthy(slot: Slot): boolean {
    return this.#slots.some((other) => other !== slot && other.ready && other.circuit.healthy);
  }

  /** A replica joined or told something of itself. */
  changed(replica: Replica): void {
    const { id, outstanding } = replica.info;
    let slot = this.get(id);
    if (slot?.replica !== replica) {
      if (slot) this.#remove(slot);
      this.#slots.push((slot = new Slot(replica, this.onTry)));
    }
    slot.told(outstanding);
  }

  gone(replica: Replica): void {
    const slot = this.get(replica.info.id);
    if (slot?.replica === replica) this.#remove(slot);
  }

  /**
   * The replica with room that has the least load. Where other gateways serve the same replicas, all would choose the
   * same one until it tells of it: there, the better of two at random (Mitzenmacher, "The Power of Two Choices in
   * Randomized Load Balancing", 2001).
   * @param alone for a batch that nothing else may run beside
   */
  free(alone: boolean, except?: Slot): Slot | undefined {
    const free = this.#slots.filter((slot) => slot !== except && slot.hasRoom(alone));
    const choice = free.some(({ shared }) => shared) ? twoOf(free) : free;
    return choice.reduce<Slot | undefined>((best, slot) => (best && best.load <= slot.load ? best : slot), undefined);
  }

  /** Replicas that are equally free take turns. */
  moveToEnd(slot: Slot): void {
    if (this.#remove(slot)) this.#slots.push(slot);
  }

  #remove(slot: Slot): boolean {
    return takeFirst(this.#slots, (one) => one === slot) !== undefined;
  }
}

function twoOf<T>(all: readonly T[]): T[] {
  if (all.length <= 2) return [...all];
  const first = Math.floor(Math.random() * all.length);
  const second = (first + 1 + Math.floor(Math.random() * (all.length - 1))) % all.length;
  return all.filter((_, index) => index === first || index === second);
}
