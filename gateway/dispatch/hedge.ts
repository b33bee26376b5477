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
  p99 = Infinity;

  add(ms: number): void {
    this.#ms[this.#learned++ % WINDOW] = ms;
    if (this.#learned < MIN_KNOWN || this.#learned % REFRESH !== 0) return;
    const sorted = [...this.#ms].sort((a, b) => a - b);
    this.p99 = sorted[Math.floor(sorted.length * 0.99)] ?? Infinity;
  }
}

/**
 * Tells when a batch takes so long that a second replica should be asked too (hedged requests: Dean and Barroso, "The
 * Tail at Scale", 2013), and bounds how many are.
 */
export class Hedge {
  #kinds = new Map<string, Durations>();
  #saved = 0;

  /** @param factor how many times the 99th percentile of its kind and size a batch may take */
  constructor(private readonly factor: number) {}

  /** Milliseconds after which a batch of `docs` documents is hedged; infinite while too few were seen. */
  after(lane: LaneSpec, docs: number): number {
    this.#saved = Math.min(this.#saved + SHARE, MAX_SAVED);
    return this.factor * (this.#kinds.get(keyOf(lane, docs))?.p99 ?? Infinity);
  }

  learn(lane: LaneSpec, docs: number, ms: number): void {
    const key = keyOf(lane, docs);
    const durations = this.#kinds.get(key) ?? new Durations();
    durations.add(ms);
    this.#kinds.delete(key);
    this.#kinds.set(key, durations);
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

/** Batches within a factor of two in size are alike. */
function keyOf({ endpoint, kind }: LaneSpec, docs: number): string {
  return `${Math.ceil(Math.log2(docs))}\n${kind}\n${endpoint}`;
}
