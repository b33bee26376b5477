import type { Flow } from '../flow/flow.js';
import type { Logger } from '../telemetry/log.js';
import type { ExecutorLoad } from './load.js';
import { AutoscalePolicy } from './policy.js';

interface Scaled {
  policy: AutoscalePolicy;
  replicas: number;
  /** A change is being made: until it is, the load says nothing about it. */
  busy: boolean;
}

/** Scales the executors of a flow that runs on this machine by the load that its gateway reports. */
export class LocalAutoscaler {
  #executors = new Map<string, Scaled>();

  constructor(
    flow: Flow,
    private readonly scale: (executor: string, replicas: number) => Promise<void>,
    private readonly log: Logger,
  ) {
    for (const { name, autoscale, replicas } of flow.executors) {
      if (autoscale) this.#executors.set(name, { policy: new AutoscalePolicy(autoscale), replicas, busy: false });
    }
  }

  report(loads: readonly ExecutorLoad[]): void {
    for (const load of loads) {
      const scaled = this.#executors.get(load.executor);
      if (scaled && !scaled.busy) void this.#decide(scaled, load);
    }
  }

  async #decide(scaled: Scaled, load: ExecutorLoad): Promise<void> {
    const { executor, queued, running } = load;
    const replicas = scaled.policy.decide(load, scaled.replicas, performance.now());
    if (replicas === scaled.replicas) return;
    this.log.info({ event: 'autoscaling', executor, from: scaled.replicas, to: replicas, queued, running });
    scaled.replicas = replicas;
    scaled.busy = true;
    try {
      await this.scale(executor, replicas);
    } catch (err) {
      this.log.error({ event: 'autoscaling_failed', executor, replicas, err });
    } finally {
      scaled.busy = false;
    }
  }
}
