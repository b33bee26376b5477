import type { LaneSpec } from './item.js';

/** For so long after an interactive request more of them are expected. */
const CALM_MS = 5000;
/** How much longer than an interactive batch one of bulk work may take. */
const STRETCH = 1.5;
/** Weight of the latest interactive batch in the moving average, a geometric one: a batch that hung hardly counts. */
const WEIGHT = 0.1;
/** How far one batch may change the size of the next: it may have been slow or quick by chance. */
const MAX_STEP = 1.25;
/** Kinds remembered, the latest: callers may name any endpoint where an executor serves `/default`. */
const MAX_KINDS = 256;

/**
 * Tells how many documents of bulk work a replica gets at once. An interactive request that finds a replica computing
 * waits for the whole batch, so while such requests come a batch of bulk work takes about as long as one of theirs: it
 * grows or shrinks by how long the last ones took. Otherwise it is as large as any.
 */
export class BulkPace {
  #interactiveAt = -Infinity;
  /** Milliseconds of an interactive batch that has its replica for itself. */
  #usualMs: number | undefined;
  #sizes = new Map<string, number>();

  /** @param minMs that a batch of bulk work may take, however quick interactive ones are */
  constructor(private readonly minMs: number) {}

  /** Interactive requests come, or came a moment ago. */
  get yields(): boolean {
    return performance.now() - this.#interactiveAt < CALM_MS;
  }

  interactiveCame(): void {
    this.#interactiveAt = performance.now();
  }

  /** Documents of bulk work in a batch of at most `size`. */
  documents(lane: LaneSpec, size: number): number {
    return this.yields ? Math.min(Math.floor(this.#sizes.get(keyOf(lane)) ?? 1), size) : size;
  }

  /** A batch of at most `size` that had its replica for itself was answered after `ms`. */
  learn(lane: LaneSpec, documents: { interactive: number; bulk: number }, size: number, ms: number): void {
    if (documents.bulk === 0) this.#usualMs = moved(this.#usualMs, ms);
    else if (documents.interactive === 0 && this.yields) this.#resize(lane, documents.bulk, size, ms);
  }

  #resize(lane: LaneSpec, documents: number, size: number, ms: number): void {
    const key = keyOf(lane);
    const wanted = this.#sizes.get(key) ?? 1;
    // The end of a queue tells nothing about larger batches, and what was sent before others came nothing about small ones.
    if (documents !== Math.min(Math.floor(wanted), size)) return;
    // A single document is like an interactive one, should there be none that had its replica for itself.
    if (documents === 1) this.#usualMs ??= ms;
    const allowedMs = Math.max(this.minMs, STRETCH * (this.#usualMs ?? 0));
    const fitting = Math.min(Math.max(documents * (allowedMs / ms), wanted / MAX_STEP), wanted * MAX_STEP);
    this.#sizes.delete(key);
    this.#sizes.set(key, Math.min(Math.max(1, fitting), size));
    const [oldest] = this.#sizes.keys();
    if (oldest !== undefined && this.#sizes.size > MAX_KINDS) this.#sizes.delete(oldest);
  }
}

function moved(average: number | undefined, value: number): number {
  return average === undefined ? value : average * (value / average) ** WEIGHT;
}

function keyOf({ endpoint, kind }: LaneSpec): string {
  return `${endpoint}\n${kind}`;
}
