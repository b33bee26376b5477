import { LRUCache } from 'lru-cache';
import type { CacheConfig } from '../../src/flow/flow.js';
import type { CacheStore } from './store.js';

/** In this process: what was used longest ago goes first. */
export class MemoryStore implements CacheStore {
  readonly #entries: LRUCache<string, Uint8Array>;

  constructor({ ttlMs, max, maxBytes }: CacheConfig) {
    this.#entries = new LRUCache({
      ttl: ttlMs,
      max,
      maxSize: maxBytes,
      sizeCalculation: (value, key) => value.byteLength + key.length,
    });
  }

  async get(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    return keys.map((key) => this.#entries.get(key));
  }

  set(entries: readonly { key: string; value: Uint8Array }[]): void {
    // A copy: the value may be a part of a message, all of which it would keep.
    for (const { key, value } of entries) this.#entries.set(key, Uint8Array.from(value));
  }

  close(): void {
    this.#entries.clear();
  }
}
