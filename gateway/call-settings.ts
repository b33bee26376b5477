import type { Socket } from 'node:net';
import { ClipflowError } from '../src/errors.js';
import type { Priority } from './dispatch/item.js';

/** A connection, as callers without a token are told apart. */
export function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}

/** What a caller may say beside its request: HTTP headers or gRPC metadata of the same names. */
export interface CallSettings {
  priority: Priority;
  timeoutMs?: number;
}

/**
 * `x-priority`: interactive (the default) or bulk. `x-request-timeout`: seconds.
 * @throws INVALID_REQUEST when a value is none of these
 */
export function callSettings(header: (name: string) => string | undefined): CallSettings {
  const priority = header('x-priority') ?? 'interactive';
  if (priority !== 'interactive' && priority !== 'bulk') {
    throw new ClipflowError('INVALID_REQUEST', `x-priority "${priority}": expected interactive or bulk`);
  }
  const timeout = header('x-request-timeout');
  if (timeout === undefined) return { priority };
  const seconds = Number(timeout);
  if (timeout.trim() !== '' && Number.isFinite(seconds) && seconds > 0) return { priority, timeoutMs: seconds * 1000 };
  throw new ClipflowError('INVALID_REQUEST', `x-request-timeout "${timeout}": expected seconds, more than 0`);
}
