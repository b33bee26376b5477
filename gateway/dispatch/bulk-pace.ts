import { ByKind } from './by-kind.js';
import type { LaneSpec } from './item.js';

/** For so long after an interactive request more of them are expected. */
const CALM_MS = 5000;
/** How much longer than an interactive batch one of bulk work may take. */
const STRETCH = 1.5;
/** How far one batch moves what is known: a factor, so that one that hung hardly counts. */
const STEP = 1.03;
/** A move one way is as large as three the other: what is known comes to rest where one batch in four is beyond it. */
const BIG_STEP = STEP ** 3;

/**
 * Tells how many documents of bulk work a replica gets at once. An interactive request that finds a replica computing
 * waits for the whole batch, so while such requests come three of four batches of bulk work take no longer than one and a
 * half of theirs. Otherwise they are as large as any.
 */
export class BulkPace {
  #interactiveAt = -Infinity;
  /** Milliseconds of an interactive batch that has its replica for itself. The lower quartile: others waited for more. */
  #quickMs: number | undefined;
  #sizes = new ByKind<number>();

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
    return this.yields ? Math.min(Math.floor(this.#sizes.get(lane) ?? 1), size) : size;
  }

  /** A batch of at most `size` that had its replica for itself was answered after `ms`. */
  learn(lane: LaneSpec, documents: { interactive: number; bulk: number }, size: number, ms: number): void {
    if (documents.bulk === 0) this.#quickMs = lowerQuartile(this.#quickMs ?? ms, ms);
    else if (documents.interactive === 0 && this.yields) this.#resize(lane, documents.bulk, size, ms);
  }

  #resize(lane: LaneSpec, documents: number, size: number, ms: number): void {
    const wanted = this.#sizes.get(lane) ?? 1;
    // The end of a queue tells nothing about larger batches, and what was sent before others came nothing about small ones.
    if (documents !== Math.min(Math.floor(wanted), size)) return;
    // A single document is like an interactive one, should there be none that had its replica for itself.
    if (documents === 1) this.#quickMs ??= ms;
    const allowedMs = Math.max(this.minMs, STRETCH * (this.#quickMs ?? 0));
    // Half a document at least: next to one, two are a large step, and should not be tried at once again.
    const fitting = ms > allowedMs ? Math.min(wanted / BIG_STEP, documents - 0.5) : wanted * STEP;
    this.#sizes.set(lane, Math.min(Math.max(1, fitting), size));
  }
}

function lowerQuartile(estimate: number, value: number): number {
  return value < estimate ? Math.max(value, estimate / BIG_STEP) : Math.min(value, estimate * STEP);
}
