import { ByKind } from './by-kind.js';
import type { LaneSpec } from './item.js';

/** How many times its usual duration a batch may take. */
const FACTOR = 20;
/** For batches of a kind of which none has been answered yet. */
const UNKNOWN_MS = 60_000;
/** Weight of the latest batch in the moving average. */
const WEIGHT = 0.2;

/** What Node's timers count to; they would end a longer time at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Moving averages of the batches of one endpoint and kind of content. */
interface Usual {
  ms: number;
  docs: number;
}

/** Learns how long batches take, and tells when one must be taken for hung. */
export class Patience {
  #usual = new ByKind<Usual>();

  /** @param minMs however quick batches usually are */
  constructor(private readonly minMs: number) {}

  /** Milliseconds to wait for the answer to a batch of `docs` documents; one larger than usual may take longer. */
  of(lane: LaneSpec, docs: number): number {
    const usual = this.#usual.get(lane);
    const ms = usual ? FACTOR * usual.ms * Math.max(1, docs / usual.docs) : UNKNOWN_MS;
    return Math.min(Math.max(this.minMs, ms), MAX_TIMER_MS);
  }

  /** A batch of `docs` documents was answered after `ms`. */
  learn(lane: LaneSpec, docs: number, ms: number): void {
    const usual = this.#usual.get(lane) ?? { ms, docs };
    this.#usual.set(lane, {
      ms: usual.ms + WEIGHT * (ms - usual.ms),
      docs: usual.docs + WEIGHT * (docs - usual.docs),
    });
  }
}
