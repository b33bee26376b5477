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

/**
 * Ray Serve's autoscaling (`replica_queue_length_autoscaling_policy`): as many replicas as bring each to its target of
 * ongoing work, within bounds; more, or fewer, must be wanted without a break for `upDelayMs` or `downDelayMs`, and then
 * what is wanted at that moment counts. From zero the first work counts at once.
 */
export class AutoscalePolicy {
  #wanted: { direction: number; since: number } | undefined;

  constructor(private readonly config: AutoscaleConfig) {}

  /**
   * How many replicas there should be.
   * @param ongoing documents, queued and running
   * @param current replicas that were decided on last
   * @param now milliseconds of a clock that does not go back
   */
  decide(ongoing: number, current: number, now: number): number {
    const { min, max, targetOngoing, upDelayMs, downDelayMs } = this.config;
    const desired = Math.min(Math.max(Math.ceil(ongoing / targetOngoing), min), max);
    const direction = Math.sign(desired - current);
    if (this.#wanted?.direction !== direction) this.#wanted = { direction, since: now };
    const delay = direction > 0 ? upDelayMs : downDelayMs;
    if (direction === 0 || (current > 0 && now - this.#wanted.since < delay)) return current;
    this.#wanted = undefined;
    return desired;
  }
}
