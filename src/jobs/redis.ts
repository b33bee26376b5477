import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { ClipflowError } from '../errors.js';
import type { Logger } from '../telemetry/log.js';

const RECONNECT_MAX_MS = 2_000;
const PATIENCE_MS = 5_000;

/** BullMQ's keys and ours; the braces keep them on one node of a Redis cluster. */
export function keyPrefix(flow: string): string {
  return `{clipflow:${flow}}`;
}

/**
 * A connection that comes back by itself, and keeps what it is told meanwhile; one log line when Redis goes and one when it
 * is back.
 */
export function connectRedis(url: string, log: Logger): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: null, // BullMQ asks for it.
    connectTimeout: PATIENCE_MS,
    retryStrategy: (attempt) => Math.min(attempt * 100, RECONNECT_MAX_MS),
  });
  let reachable: boolean | undefined;
  redis.on('ready', () => {
    if (reachable !== true) log.info({ event: 'redis_connected' });
    reachable = true;
  });
  redis.on('error', (error: Error) => {
    if (reachable !== false) log.warn({ event: 'redis_unavailable', reason: error.message });
    reachable = false;
  });
  return redis;
}

/** Runs what needs Redis for a caller, who does not wait for it to come back. @throws UNAVAILABLE when it is away */
export async function withRedis<T>(redis: Redis, task: () => Promise<T>): Promise<T> {
  const over = new AbortController();
  const away = new ClipflowError('UNAVAILABLE', 'jobs are not served now: Redis cannot be reached (with.redis)');
  if (redis.status !== 'ready') throw away;
  const tooLong = delay(PATIENCE_MS, undefined, { signal: over.signal, ref: false }).then(() => {
    throw away;
  });
  try {
    return await Promise.race([task(), tooLong]);
  } finally {
    over.abort();
    tooLong.catch(() => {});
  }
}
