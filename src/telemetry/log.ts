import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';
import { ClipflowError } from '../errors.js';
import type { LogLevel } from '../flow/flow.js';

const LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];
/** What Python's and Jina's flows call their levels. */
const ALIASES: Record<string, LogLevel> = { warning: 'warn', critical: 'fatal', success: 'info' };

/** A level in any case, as clipflow or as Python names it. */
export function parseLogLevel(text: string): LogLevel {
  const name = text.toLowerCase();
  const level = ALIASES[name] ?? LEVELS.find((one) => one === name);
  if (level) return level;
  throw new ClipflowError('INVALID_CONFIG', `log level "${text}" is not known: expected one of ${LEVELS.join(', ')}`);
}

/**
 * Log lines are events with fields, on stderr: JSON, or readable text where stderr is a terminal.
 * @param part which process of the flow speaks, on each line
 */
export function createLogger(level: LogLevel, part: string): Logger {
  const options = { level, base: { process: part, pid: process.pid }, messageKey: 'event' };
  // Synchronous on purpose: the line that says why a process ends must not be lost with it.
  if (process.stderr.isTTY)
    return pino(options, pretty({ destination: 2, sync: true, ignore: 'pid', messageKey: 'event' }));
  return pino(options, pino.destination({ fd: 2, sync: true }));
}

export type { Logger };
