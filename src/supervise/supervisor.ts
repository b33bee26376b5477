import { ClipflowError, EXIT_CONFIG } from '../errors.js';
import type { ExecutorLoad } from '../autoscale/load.js';
import type { Logger } from '../telemetry/log.js';
import type { Ready } from './lifecycle.js';
import { ManagedProcess, type ProcessSpec } from './managed-process.js';

export interface SupervisedFlow {
  /** Absent where it runs elsewhere. */
  gateway?: ProcessSpec;
  /** Replicas of each executor, by its name. */
  executors: ReadonlyMap<string, readonly ProcessSpec[]>;
}

/** How many of an executor's (or the gateway's one) processes are ready. */
export interface Progress {
  name: string;
  ready: number;
  wanted: number;
}

export interface SupervisorEvents {
  progress(progress: Progress): void;
  /** The gateway told what its executors have to do. */
  loaded(loads: readonly ExecutorLoad[]): void;
}

/** Starts, watches, restarts and stops the processes of a flow on this machine. */
export class Supervisor {
  #groups = new Map<string, ManagedProcess[]>();
  /** Started to take the place of others. */
  #reloading = new Set<ManagedProcess>();
  #shown = new Map<string, string>();
  #conditions: { holds: () => boolean; resolve: () => void }[] = [];
  #rejectStart: ((error: ClipflowError) => void) | undefined;

  constructor(
    flow: SupervisedFlow,
    private readonly events: SupervisorEvents,
    private readonly log: Logger,
  ) {
    for (const [name, specs] of flow.executors) this.#groups.set(name, this.#manage(name, specs));
    if (flow.gateway) this.#groups.set('gateway', this.#manage('gateway', [flow.gateway]));
  }

  /**
   * Resolves when every process is ready, to what the gateway said.
   * @throws INVALID_CONFIG when one refuses to start with the settings it was given; it has said why
   */
  async start(): Promise<Ready> {
    const refused = new Promise<never>((_, reject) => (this.#rejectStart = reject));
    for (const process of this.#all()) process.start();
    await Promise.race([this.#until(() => this.#all().every(isReady)), refused]);
    this.#rejectStart = undefined;
    return this.#groups.get('gateway')?.[0]?.ready ?? {};
  }

  /** Makes the processes of an executor those of `specs`: resolves when the new are ready and the others have drained. */
  async scale(name: string, specs: readonly ProcessSpec[], graceMs: number): Promise<void> {
    const present = this.#groups.get(name) ?? [];
    const wanted = new Set(specs.map(({ key }) => key));
    const staying = present.filter(({ spec }) => wanted.has(spec.key));
    const leaving = present.filter(({ spec }) => !wanted.has(spec.key));
    const known = new Set(staying.map(({ spec }) => spec.key));
    const added = this.#manage(
      name,
      specs.filter(({ key }) => !known.has(key)),
    );
    this.#groups.set(name, [...staying, ...added]);
    for (const process of added) process.start();
    this.#onChange(name);
    await Promise.all([this.#until(() => added.every(isReady)), ...leaving.map((process) => process.stop(graceMs))]);
  }

  /**
   * Starts each process of an executor anew, one after the other: the new one is ready before the old one drains.
   * @throws INVALID_CONFIG when a new one does not become ready; the old one stays
   */
  async reload(name: string, graceMs: number): Promise<void> {
    for (const old of this.#groups.get(name) ?? []) {
      const [fresh] = this.#manage(name, [old.spec]);
      if (!fresh) continue;
      this.#reloading.add(fresh);
      fresh.start();
      await this.#until(() => fresh.state !== 'starting');
      this.#reloading.delete(fresh);
      if (fresh.state !== 'ready') {
        await fresh.stop(0);
        throw new ClipflowError('INVALID_CONFIG', `${old.spec.key} does not start anew (its log line says why)`);
      }
      const group = this.#groups.get(name) ?? [];
      this.#groups.set(
        name,
        group.map((one) => (one === old ? fresh : one)),
      );
      await old.stop(graceMs);
    }
  }

  /** The gateway first, so that nothing new comes in; then the replicas. Both within `graceMs` in all. */
  async stop(graceMs: number): Promise<void> {
    const deadline = Date.now() + graceMs;
    const left = (): number => Math.max(0, deadline - Date.now());
    await Promise.all((this.#groups.get('gateway') ?? []).map((process) => process.stop(left())));
    await Promise.all([...this.#all(), ...this.#reloading].map((process) => process.stop(left())));
  }

  #all(): ManagedProcess[] {
    return [...this.#groups.values()].flat();
  }

  #manage(name: string, specs: readonly ProcessSpec[]): ManagedProcess[] {
    const events = {
      changed: () => this.#onChange(name),
      exited: (process: ManagedProcess, code: number | null) => this.#onExit(process, code),
      loaded: (loads: readonly ExecutorLoad[]) => this.events.loaded(loads),
    };
    return specs.map((spec) => new ManagedProcess(spec, events, this.log));
  }

  async #until(holds: () => boolean): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve) => this.#conditions.push({ holds, resolve }));
  }

  #onChange(name: string): void {
    const group = this.#groups.get(name) ?? [];
    const progress = { name, ready: group.filter(isReady).length, wanted: group.length };
    const shown = JSON.stringify(progress);
    if (this.#shown.get(name) !== shown) this.events.progress(progress);
    this.#shown.set(name, shown);
    const met = this.#conditions.filter(({ holds }) => holds());
    this.#conditions = this.#conditions.filter((condition) => !met.includes(condition));
    for (const { resolve } of met) resolve();
  }

  #onExit(process: ManagedProcess, code: number | null): void {
    if (code !== EXIT_CONFIG) return;
    const message = `${process.spec.key} cannot start with these settings (its log line says why)`;
    this.#rejectStart?.(new ClipflowError('INVALID_CONFIG', message));
  }
}

function isReady({ state }: ManagedProcess): boolean {
  return state === 'ready';
}
