import { Effort } from './effort.js';
import type { ExecutorLoad } from './load.js';

/** How many replicas an executor may have, and when the number changes. */
export interface AutoscaleConfig {
  readonly min: number;
  readonly max: number;
  /** Documents, queued and running, that each replica should have. */
  readonly targetOngoing: number;
  /** For so long more, or fewer, replicas must be wanted before their number changes. */
  readonly upDelayMs: number;
  readonly downDelayMs: number;
}

/** What the policy goes by. */
export type Load = Pick<ExecutorLoad, 'queued' | 'running' | 'busy' | 'done'>;

/** How busy replicas may be after some were drained. */
const BUSY = 0.8;

/** Parts of `downDelayMs` over which the effort is measured, and milliseconds at least. */
const WINDOWS = 10;
const MIN_WINDOW_MS = 1000;

/**
 * Ray Serve's autoscaling (`replica_queue_length_autoscaling_policy`): as many replicas as bring each to its target of
 * ongoing work, within bounds; more, or fewer, must be wanted without a break for `upDelayMs` or `downDelayMs`. From
 * zero the first work counts at once.
 *
 * Replicas that keep up hold few documents, however near they are to what they can do: by ongoing work alone nearly all
 * of them would be drained, and missed at once. So no fewer are wanted than would carry what is computed now (`Effort`),
 * and of what was wanted during `downDelayMs` the most counts, as in Kubernetes' stabilisation.
 */
export class AutoscalePolicy {
  #wanted: { direction: number; since: number; most: number } | undefined;
  #effort: Effort;

  constructor(private readonly config: AutoscaleConfig) {
    this.#effort = new Effort(Math.max(config.downDelayMs / WINDOWS, MIN_WINDOW_MS));
  }

  /**
   * How many replicas there should be.
   * @param current replicas that were decided on last
   * @param now milliseconds of a clock that does not go back
   */
  decide(load: Load, current: number, now: number): number {
    this.#effort.observe(load, now);
    const desired = this.#desired(load, current);
    const direction = Math.sign(desired - current);
    if (this.#wanted?.direction !== direction) this.#wanted = { direction, since: now, most: desired };
    this.#wanted.most = Math.max(this.#wanted.most, desired);
    const delay = direction > 0 ? this.config.upDelayMs : this.config.downDelayMs;
    if (direction === 0 || (current > 0 && now - this.#wanted.since < delay)) return current;
    const { most } = this.#wanted;
    this.#wanted = undefined;
    if (direction < 0) return most;
    this.#effort.forget();
    return desired;
  }

  #desired({ queued, running }: Load, current: number): number {
    const { min, max, targetOngoing } = this.config;
    const forWork = Math.ceil((queued + running) / targetOngoing);
    const forEffort = Math.min(Math.ceil(this.#effort.replicas / BUSY), current);
    return Math.min(Math.max(forWork, forEffort, min), max);
  }
}
