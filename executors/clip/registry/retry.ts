import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { ClipflowError } from '../../../src/errors.js';

/** How patient a download is; milliseconds. */
export interface Patience {
  /** Failures in a row, without a new byte in between, after which it gives up. */
  attempts: number;
  /** Pause after the first failure; it doubles with each further one, to 30 s. */
  pauseMs: number;
  /** Silence of a connection that counts as a failure. */
  stallMs: number;
}

export const PATIENCE: Patience = { attempts: 6, pauseMs: 1_000, stallMs: 30_000 };

const LONGEST_PAUSE_MS = 30_000;
/** As long as a `Retry-After` is obeyed. */
const LONGEST_OBEYED_MS = 120_000;

/** A failure that the same request may be spared later. */
export class PassingFailure extends Error {
  constructor(
    message: string,
    /** What the server asked to wait. */
    readonly waitMs = 0,
  ) {
    super(message);
  }
}

/**
 * Repeats a task while it fails in passing: by a PassingFailure or an error of the network.
 * @param what names the failure in the log and in the final error
 * @param task calls `progressed` when something was gained, which restores the patience
 * @throws ClipflowError MODEL_UNAVAILABLE when patience is over; errors of the disk and ClipflowErrors at once
 */
export type Retry = <T>(what: string, task: (progressed: () => void) => Promise<T>) => Promise<T>;

export function retrying({ attempts, pauseMs }: Patience, log: Logger): Retry {
  return async (what, task) => {
    let failures = 0;
    for (;;) {
      try {
        return await task(() => (failures = 0));
      } catch (error) {
        if (error instanceof ClipflowError || isDiskError(error)) throw error;
        failures += 1;
        const reason = describe(error);
        if (failures >= attempts) {
          throw new ClipflowError('MODEL_UNAVAILABLE', `${what}: ${reason} (${failures} times)`, { cause: error });
        }
        const backoff = Math.min(pauseMs * 2 ** (failures - 1), LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2);
        const asked = error instanceof PassingFailure ? Math.min(error.waitMs, LONGEST_OBEYED_MS) : 0;
        const waitMs = Math.round(Math.max(backoff, asked));
        log.warn({ event: 'model_download_retried', what, reason, failures, wait_ms: waitMs });
        await pause(waitMs);
      }
    }
  };
}

const DISK_ERRORS = ['ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EIO', 'EMFILE'];

export function isDiskError(error: unknown): error is NodeJS.ErrnoException {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return code !== undefined && syscall !== 'connect' && DISK_ERRORS.includes(code);
}

/** undici says `terminated` or `fetch failed` and gives the cause beside it. */
function describe(error: unknown): string {
  const { message, code, cause } = error as NodeJS.ErrnoException & { cause?: Error };
  const text = [message, cause?.message].filter(Boolean).join(': ') || 'the connection failed';
  return code === undefined || text.includes(code) ? text : `${text} (${code})`;
}
