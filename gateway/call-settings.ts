import type { Socket } from 'node:net';
import type { CancelSignal } from '../src/cancel.js';
import { ClipflowError } from '../src/errors.js';
import type { Caller, Tokens } from './auth/tokens.js';
import type { Priority } from './dispatch/item.js';

/** A connection, as callers without a token are told apart. */
export function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}

/** Who calls, and what it says beside its request. */
export interface CallOrigin {
  caller: Caller;
  /** The connection: callers have equal shares by token, or by connection where there are no tokens. */
  peer: string;
  /** @default interactive */
  priority?: Priority;
  signal: CancelSignal;
  timeoutMs?: number | undefined;
}

/** By what a caller's share of the replicas is told from those of others. */
export function shareOf({ tokens }: { tokens: Tokens }, { caller, peer }: CallOrigin): string {
  return tokens.required ? caller.name : peer;
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
