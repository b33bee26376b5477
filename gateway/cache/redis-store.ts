import { Redis } from 'ioredis';
import type { Logger } from '../../src/telemetry/log.js';
import type { CacheStore } from './store.js';

/** What it takes longer than this to fetch is computed instead. */
const PATIENCE_MS = 250;
const RECONNECT_MAX_MS = 5_000;

/**
 * On a Redis server, shared by all gateways. Every key has an expiry, so that `maxmemory-policy volatile-lru` (or -ttl)
 * takes from the cache alone. While the server cannot be reached the cache is empty.
 */
export class RedisStore implements CacheStore {
  readonly #redis: Redis;
  #reachable: boolean | undefined;

  constructor(
    url: string,
    private readonly ttlMs: number,
    private readonly log: Logger,
  ) {
    this.#redis = new Redis(url, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: PATIENCE_MS,
      retryStrategy: (attempt) => Math.min(attempt * 100, RECONNECT_MAX_MS),
    });
    this.#redis.on('ready', () => this.#told(true));
    this.#redis.on('error', (error: Error) => this.#told(false, error));
  }

  async get(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    if (this.#redis.status !== 'ready') return keys.map(() => undefined);
    try {
      const values = await this.#redis.mgetBuffer(...keys);
      return values.map((value) => value ?? undefined);
    } catch (error) {
      this.#told(false, error);
      return keys.map(() => undefined);
    }
  }

  set(entries: readonly { key: string; value: Uint8Array }[]): void {
    if (this.#redis.status !== 'ready') return;
    const pipeline = this.#redis.pipeline();
    for (const { key, value } of entries) pipeline.set(key, Buffer.from(value), 'PX', this.ttlMs);
    pipeline.exec().then(
      (results) => {
        const refused = results?.find(([error]) => error)?.[0];
        this.#told(refused == null, refused);
      },
      (error: unknown) => this.#told(false, error),
    );
  }

  close(): void {
    this.#redis.disconnect();
  }

  /** One line when it goes wrong, one when it is well again. */
  #told(reachable: boolean, error?: unknown): void {
    if (this.#reachable === reachable) return;
    this.#reachable = reachable;
    if (reachable) this.log.info({ event: 'cache_connected' });
    else this.log.warn({ event: 'cache_unavailable', reason: error instanceof Error ? error.message : String(error) });
  }
}
