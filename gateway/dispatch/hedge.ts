import { ByKind } from './by-kind.js';
import type { LaneSpec } from './item.js';

/** Batches of a kind and size whose durations are remembered, and how many must be before any is hedged. */
const WINDOW = 256;
const MIN_KNOWN = 50;
/** Durations after which the percentile is computed anew. */
const REFRESH = 16;
/** Hedges that each batch earns, and how many may be saved: a flow that is slow as a whole must not double its work. */
const SHARE = 0.05;
const MAX_SAVED = 5;

/** The last durations of batches that are alike. */
class Durations {
  #ms: number[] = [];
  #learned = 0;
  /** Infinite while too few are known. */
  p99 = Infinity;

  add(ms: number): void {
    this.#ms[this.#learned++ % WINDOW] = ms;
    if (this.#learned < MIN_KNOWN || this.#learned % REFRESH !== 0) return;
    const sorted = [...this.#ms].sort((a, b) => a - b);
    this.p99 = sorted[Math.floor(sorted.length * 0.99)] ?? Infinity;
  }
}

/** The last durations of batches of one endpoint and kind, by size class: within a factor of two in size they are alike. */
class Sizes {
  #durations = new Map<number, Durations>();

  add(docs: number, ms: number): void {
    const size = classOf(docs);
    const durations = this.#durations.get(size) ?? new Durations();
    durations.add(ms);
    this.#durations.set(size, durations);
  }

  /** A size of which too few were seen takes no longer than a larger one, and no longer in proportion than a smaller one. */
  p99(docs: number): number {
    const size = classOf(docs);
    const own = this.#durations.get(size)?.p99 ?? Infinity;
    if (Number.isFinite(own)) return own;
    return Math.min(...[...this.#durations].map(([other, { p99 }]) => p99 * 2 ** Math.max(0, size - other)));
  }
}

/**
 * Tells when a batch takes so long that a second replica should be asked too (hedged requests: Dean and Barroso, "The
 * Tail at Scale", 2013), and bounds how many are.
 */
export class Hedge {
  #sizes = new ByKind<Sizes>();
  #saved = 0;

  /** @param factor how many times the 99th percentile of its kind and size a batch may take */
  constructor(private readonly factor: number) {}

  /** Milliseconds after which a batch of `docs` documents is hedged; infinite while too few of its kind were seen. */
  after(lane: LaneSpec, docs: number): number {
    this.#saved = Math.min(this.#saved + SHARE, MAX_SAVED);
    return this.factor * (this.#sizes.get(lane)?.p99(docs) ?? Infinity);
  }

  learn(lane: LaneSpec, docs: number, ms: number): void {
    const sizes = this.#sizes.get(lane) ?? new Sizes();
    sizes.add(docs, ms);
    this.#sizes.set(lane, sizes);
  }

  /** Whether one more is within bounds; it counts then. */
  take(): boolean {
    if (this.#saved < 1) return false;
    this.#saved -= 1;
    return true;
  }
}

function classOf(docs: number): number {
  return Math.ceil(Math.log2(docs));
}
