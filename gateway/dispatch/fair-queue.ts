import type { Item } from './item.js';

/** What waits in a lane: first in, first out for each caller, and the callers take turns. */
export class FairQueue {
  /** In the order of their turns. */
  #callers = new Map<string, Item[]>();

  push(item: Item): void {
    const items = this.#callers.get(item.caller);
    if (items) items.push(item);
    else this.#callers.set(item.caller, [item]);
  }

  /** The item whose turn it is; what was cancelled or has expired is dropped on the way. */
  peek(): Item | undefined {
    for (const [caller, items] of this.#callers) {
      const waiting = items.findIndex((item) => !item.settled);
      if (waiting > 0) items.splice(0, waiting);
      if (waiting >= 0) return items[0];
      this.#callers.delete(caller);
    }
    return undefined;
  }

  /** Takes what `peek` showed; its caller's next turn is after all the others'. */
  take(): Item | undefined {
    const item = this.peek();
    if (!item) return undefined;
    const items = this.#callers.get(item.caller) ?? [];
    items.shift();
    this.#callers.delete(item.caller);
    if (items.length > 0) this.#callers.set(item.caller, items);
    return item;
  }

  *[Symbol.iterator](): Generator<Item> {
    for (const items of this.#callers.values()) yield* items.filter((item) => !item.settled);
  }
}
