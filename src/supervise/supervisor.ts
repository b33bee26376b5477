import { ClipflowError, EXIT_CONFIG } from '../errors.js';
import type { Logger } from '../telemetry/log.js';
import type { Ready } from './lifecycle.js';
import { ManagedProcess, type ProcessSpec } from './managed-process.js';

export interface SupervisedFlow {
  gateway: ProcessSpec;
  /** Replicas of each executor, by its name. */
  executors: ReadonlyMap<string, readonly ProcessSpec[]>;
}

/** How many of an executor's (or the gateway's one) processes are ready. */
export interface Progress {
  name: string;
  ready: number;
  wanted: number;
}

/** Starts, watches, restarts and stops the processes of a flow on this machine. */
export class Supervisor {
  #groups = new Map<string, ManagedProcess[]>();
  #readyCounts = new Map<string, number>();
  #started = false;
  #resolveReady: () => void = () => {};
  #rejectReady: (error: ClipflowError) => void = () => {};

  constructor(
    flow: SupervisedFlow,
    private readonly onProgress: (progress: Progress) => void,
    private readonly log: Logger,
  ) {
    for (const [name, specs] of flow.executors) this.#groups.set(name, this.#manage(name, specs));
    this.#groups.set('gateway', this.#manage('gateway', [flow.gateway]));
  }

  /**
   * Resolves when every process is ready, to what the gateway said.
   * @throws INVALID_CONFIG when one refuses to start with the settings it was given; it has said why
   */
  async start(): Promise<Ready> {
    const ready = new Promise<void>((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    for (const process of this.#all()) process.start();
    await ready;
    this.#started = true;
    return this.#groups.get('gateway')?.[0]?.ready ?? {};
  }

  /** The gateway first, so that nothing new comes in; then the replicas. Both within `graceMs` in all. */
  async stop(graceMs: number): Promise<void> {
    const deadline = Date.now() + graceMs;
    const left = (): number => Math.max(0, deadline - Date.now());
    await Promise.all((this.#groups.get('gateway') ?? []).map((process) => process.stop(left())));
    await Promise.all(this.#all().map((process) => process.stop(left())));
  }

  #all(): ManagedProcess[] {
    return [...this.#groups.values()].flat();
  }

  #manage(name: string, specs: readonly ProcessSpec[]): ManagedProcess[] {
    const events = {
      changed: () => this.#onChange(name),
      exited: (process: ManagedProcess, code: number | null) => this.#onExit(process, code),
    };
    return specs.map((spec) => new ManagedProcess(spec, events, this.log));
  }

  #onChange(name: string): void {
    const group = this.#groups.get(name) ?? [];
    const ready = group.filter(({ state }) => state === 'ready').length;
    if (this.#readyCounts.get(name) !== ready) this.onProgress({ name, ready, wanted: group.length });
    this.#readyCounts.set(name, ready);
    if (this.#all().every(({ state }) => state === 'ready')) this.#resolveReady();
  }

  #onExit(process: ManagedProcess, code: number | null): void {
    if (this.#started || code !== EXIT_CONFIG) return;
    this.#rejectReady(
      new ClipflowError(
        'INVALID_CONFIG',
        `${process.spec.key} cannot start with these settings (its log line says why)`,
      ),
    );
  }
}
