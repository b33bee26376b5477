import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutorLoad } from '../autoscale/load.js';
import { EXIT_CONFIG, isStartError, toClipflowError } from '../errors.js';
import type { Logger } from '../telemetry/log.js';

/** What a part says of itself once it serves. */
export interface Ready {
  /** Ports that a gateway listens on, in the flow's order: what it got where the flow asks for port 0. */
  ports?: number[];
}

/** What a process that a supervisor started tells it. */
export type ChildMessage = ({ type: 'ready' } & Ready) | { type: 'load'; loads: ExecutorLoad[] };

/** Does nothing in a process that nobody supervises. */
export function tellSupervisor(message: ChildMessage): void {
  if (process.connected) process.send?.(message);
}

/** A running part of a flow: a gateway, a replica, or a whole flow. */
export interface Running {
  /** Resolves when the part serves. */
  ready: Promise<Ready>;
  /** Finishes what is in hand and lets go of everything. */
  drain(): Promise<void>;
}

/** Grace that is left when the supervisor is gone or the start failed: nobody waits for answers. */
const ABANDONED_GRACE_MS = 5000;

/**
 * Runs one part of a flow as this process: reports readiness to the supervisor, if there is one; drains on SIGTERM, and
 * on SIGINT unless supervised (a terminal sends it to all processes, and the supervisor drains them in order); ends when
 * the supervisor is gone. Exit codes: 0 drained, 78 wrong settings (restarting is no use), 1 anything else.
 */
export async function runAsProcess(start: () => Promise<Running>, graceMs: number, log: Logger): Promise<void> {
  const supervised = process.send !== undefined;
  let running: Running | undefined;
  let ending = false;

  const end = async (reason: string, limitMs: number): Promise<void> => {
    if (ending) process.exit(1);
    ending = true;
    log.info({ event: 'draining', reason });
    setTimeout(() => {
      log.error({ event: 'drain_timed_out', grace_ms: limitMs });
      process.exit(1);
    }, limitMs).unref();
    try {
      await running?.drain();
    } catch (err) {
      log.error({ event: 'drain_failed', err });
      process.exit(1);
    }
    log.info({ event: 'stopped' });
    process.exit(0);
  };
  process.on('SIGTERM', () => void end('SIGTERM', graceMs));
  process.on('SIGINT', () => {
    if (!supervised) void end('SIGINT', graceMs);
  });
  if (supervised) {
    const orphaned = (): void => void end('the supervisor is gone', Math.min(graceMs, ABANDONED_GRACE_MS));
    process.on('disconnect', orphaned);
    // It may have gone while this process was loading: that event is missed.
    if (!process.connected) orphaned();
  }

  try {
    running = await start();
    tellSupervisor({ type: 'ready', ...(await running.ready) });
  } catch (thrown) {
    const error = toClipflowError(thrown);
    const startError = isStartError(error);
    const details = startError ? {} : { err: thrown };
    log.fatal({ event: 'start_failed', code: error.code, reason: error.message, ...details });
    // What has been started by now, the parts of a flow above all, is ended in good order.
    await Promise.race([running?.drain(), delay(ABANDONED_GRACE_MS)]);
    process.exit(startError ? EXIT_CONFIG : 1);
  }
}
