import { LRUCache } from 'lru-cache';
import type { LaneSpec } from './item.js';

/** Kinds remembered, the latest: callers may name any endpoint where an executor serves `/default`. */
const MAX_KINDS = 256;

/** What was learned of batches, by their endpoint and kind of content. */
export class ByKind<T extends object | number> {
  #known = new LRUCache<string, T>({ max: MAX_KINDS });

  get(lane: LaneSpec): T | undefined {
    // To ask is not to learn: it keeps nothing.
    return this.#known.peek(keyOf(lane));
  }

  set(lane: LaneSpec, value: T): void {
    this.#known.set(keyOf(lane), value);
  }
}

function keyOf({ endpoint, kind }: LaneSpec): string {
  return `${endpoint}\n${kind}`;
}
