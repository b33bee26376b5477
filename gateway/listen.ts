import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { ClipflowError } from '../src/errors.js';
import { someoneListens } from '../src/someone-listens.js';
import type { createHttpApp } from './http/app.js';

/**
 * The system may have given the port's number to an outgoing connection of some program. Until that has ended, and for
 * the minute of TIME_WAIT after it, nobody can listen there.
 */
const HELD_MS = 65_000;
const LOOK_MS = 500;

const FAULTS: Record<string, string> = {
  EADDRINUSE: 'is in use',
  EACCES: 'may not be opened by this user',
  EADDRNOTAVAIL: 'is not at an address of this machine',
};

/** @throws ClipflowError INVALID_CONFIG: at once where another server listens, else after `HELD_MS` */
export async function listen(
  http: Pick<Awaited<ReturnType<typeof createHttpApp>>, 'listen'>,
  { port, host }: { port: number; host: string },
  log: Logger,
): Promise<void> {
  const last = performance.now() + HELD_MS;
  for (let tries = 0; ; tries++) {
    try {
      await http.listen({ port, host });
      return;
    } catch (cause) {
      const { code = '' } = cause as NodeJS.ErrnoException;
      const held = code === 'EADDRINUSE' && performance.now() < last && !(await someoneListens({ port, host }));
      if (!held) throw refused(`${host}:${port}`, code, cause);
      if (tries === 0)
        log.warn({ event: 'port_held', reason: 'by an outgoing connection', host, port, limit_ms: HELD_MS });
      await delay(LOOK_MS);
    }
  }
}

function refused(address: string, code: string, cause: unknown): unknown {
  const fault = FAULTS[code];
  if (fault === undefined) return cause;
  return new ClipflowError('INVALID_CONFIG', `${address} ${fault}: set another one (with.port, --port)`, { cause });
}
