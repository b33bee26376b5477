import type { LaneSpec } from './item.js';

/** Batches of a kind and size whose durations are remembered, and how many must be before any is hedged. */
const WINDOW = 256;
const MIN_KNOWN = 50;
/** Durations after which the percentile is computed anew. */
const REFRESH = 16;
/** Hedges that each batch earns, and how many may be saved: a flow that is slow as a whole must not double its work. */
const SHARE = 0.05;
const MAX_SAVED = 5;
/** Kinds remembered, the latest. */
const MAX_KINDS = 256;

/** The last durations of batches of one endpoint, kind and size class. */
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

/** By size class: batches within a factor of two in size are alike. */
type Sizes = Map<number, Durations>;

const sizeClass = (docs: number): number => Math.ceil(Math.log2(docs));

/**
 * The 99th percentile of batches of a size. A size of which too few were seen takes no longer than a larger one, and no
 * longer in proportion than a smaller one.
 */
function p99Of(sizes: Sizes, docs: number): number {
  const size = sizeClass(docs);
  const own = sizes.get(size)?.p99 ?? Infinity;
  if (Number.isFinite(own)) return own;
  return Math.min(...[...sizes].map(([other, { p99 }]) => p99 * 2 ** Math.max(0, size - other)));
}

/**
 * Tells when a batch takes so long that a second replica should be asked too (hedged requests: Dean and Barroso, "The
 * Tail at Scale", 2013), and bounds how many are.
 */
export class Hedge {
  #kinds = new Map<string, Sizes>();
  #saved = 0;

  /** @param factor how many times the 99th percentile of its kind and size a batch may take */
  constructor(private readonly factor: number) {}

  /** Milliseconds after which a batch of `docs` documents is hedged; infinite while too few of its kind were seen. */
  after(lane: LaneSpec, docs: number): number {
    this.#saved = Math.min(this.#saved + SHARE, MAX_SAVED);
    return this.factor * p99Of(this.#kinds.get(keyOf(lane)) ?? new Map<number, Durations>(), docs);
  }

  learn(lane: LaneSpec, docs: number, ms: number): void {
    const key = keyOf(lane);
    const sizes = this.#kinds.get(key) ?? new Map<number, Durations>();
    const durations = sizes.get(sizeClass(docs)) ?? new Durations();
    durations.add(ms);
    sizes.set(sizeClass(docs), durations);
    this.#kinds.delete(key);
    this.#kinds.set(key, sizes);
    const [oldest] = this.#kinds.keys();
    if (oldest !== undefined && this.#kinds.size > MAX_KINDS) this.#kinds.delete(oldest);
  }

  /** Whether one more is within bounds; it counts then. */
  take(): boolean {
    if (this.#saved < 1) return false;
    this.#saved -= 1;
    return true;
  }
}

function keyOf({ endpoint, kind }: LaneSpec): string {
  return `${kind}\n${endpoint}`;
}
