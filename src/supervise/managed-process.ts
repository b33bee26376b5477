import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ExecutorLoad } from '../autoscale/load.js';
import type { Logger } from '../telemetry/log.js';
import type { ChildMessage, Ready } from './lifecycle.js';

/** How to start one process of a flow. */
export interface ProcessSpec {
  /** Unique among the processes of the flow, e.g. `gateway` or `clip/0/1`. */
  key: string;
  /** Arguments of the clipflow command. */
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Text for its standard input. */
  stdin?: string;
  /** Milliseconds until it must be ready; Infinity for no limit. */
  timeoutReadyMs: number;
}

export type ProcessState = 'starting' | 'ready' | 'waiting' | 'stopping' | 'stopped';

export interface ProcessEvents {
  changed(process: ManagedProcess): void;
  /** It is a gateway, and tells what its executors have to do. */
  loaded(loads: readonly ExecutorLoad[]): void;
  /** It ended by itself. */
  exited(process: ManagedProcess, code: number | null, signal: NodeJS.Signals | null): void;
}

const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 10_000;
/** Ready for so long, and the next restart is quick again. */
const HEALTHY_MS = 10_000;

/** Keeps one process of the flow running: starts it, restarts what dies with exponential backoff, stops it. */
export class ManagedProcess {
  #child: ChildProcess | undefined;
  #state: ProcessState = 'stopped';
  #backoffMs = BACKOFF_MIN_MS;
  #restartTimer: NodeJS.Timeout | undefined;
  #readyTimer: NodeJS.Timeout | undefined;
  #readySince = 0;
  #ready: Ready = {};

  constructor(
    readonly spec: ProcessSpec,
    private readonly events: ProcessEvents,
    private readonly log: Logger,
  ) {}

  get state(): ProcessState {
    return this.#state;
  }

  /** What it said when it became ready last. */
  get ready(): Ready {
    return this.#ready;
  }

  start(): void {
    const { args, env, stdin, timeoutReadyMs } = this.spec;
    const child = fork(CLI, args, {
      env: { ...process.env, ...env },
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'inherit', 'inherit', 'ipc'],
      execArgv: ['--enable-source-maps'],
    });
    this.#child = child;
    child.stdin?.on('error', () => {}); // It may end before it has read the flow; its exit says why.
    child.stdin?.end(stdin);
    child.on('message', (message: ChildMessage) => {
      if (message.type === 'load') this.events.loaded(message.loads);
      else if (this.#child === child && this.#state === 'starting') this.#becomeReady(message);
    });
    child.on('exit', (code, signal) => this.#onExit(child, code, signal));
    child.on('error', (err) => this.log.error({ event: 'process_error', key: this.spec.key, err }));
    if (Number.isFinite(timeoutReadyMs)) this.#readyTimer = setTimeout(() => this.#onReadyTimeout(), timeoutReadyMs);
    this.#become('starting');
  }

  /** Sends SIGTERM, and SIGKILL when the process has not ended within `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    clearTimeout(this.#restartTimer);
    clearTimeout(this.#readyTimer);
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) {
      this.#become('stopped');
      return;
    }
    this.#become('stopping');
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const kill = setTimeout(() => {
      this.log.warn({ event: 'process_killed', key: this.spec.key, pid: child.pid, grace_ms: graceMs });
      child.kill('SIGKILL');
    }, graceMs);
    await exited;
    clearTimeout(kill);
    this.#become('stopped');
  }

  #becomeReady(ready: Ready): void {
    this.#ready = ready;
    clearTimeout(this.#readyTimer);
    this.#readySince = Date.now();
    this.#become('ready');
  }

  #onReadyTimeout(): void {
    const { key, timeoutReadyMs } = this.spec;
    this.log.error({ event: 'process_not_ready', key, pid: this.#child?.pid, timeout_ready_ms: timeoutReadyMs });
    this.#child?.kill('SIGKILL');
  }

  #onExit(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    clearTimeout(this.#readyTimer);
    if (this.#child !== child || this.#state === 'stopping' || this.#state === 'stopped') return;
    if (this.#state === 'ready' && Date.now() - this.#readySince > HEALTHY_MS) this.#backoffMs = BACKOFF_MIN_MS;
    this.log.warn({
      event: 'process_exited',
      key: this.spec.key,
      pid: child.pid,
      code,
      signal,
      restart_in_ms: this.#backoffMs,
    });
    this.#become('waiting');
    this.#restartTimer = setTimeout(() => this.start(), this.#backoffMs);
    this.#backoffMs = Math.min(this.#backoffMs * 2, BACKOFF_MAX_MS);
    this.events.exited(this, code, signal);
  }

  #become(state: ProcessState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.events.changed(this);
  }
}
