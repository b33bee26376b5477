/** Where a cache keeps its entries. It may forget any of them at any time, and never fails. */
export interface CacheStore {
  /** One for each key, undefined where there is none. */
  get(keys: readonly string[]): Promise<(Uint8Array | undefined)[]>;
  set(entries: readonly { key: string; value: Uint8Array }[]): void;
  close(): void;
}
