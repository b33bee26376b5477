/** Ids are below this, so that a pair of them makes one number. */
const BASE = 0x10000;

/** More than any id: two neighbours that make no token. */
const NONE = 0x7fffffff;

/** Byte-pair merges: which two ids make which third. A lower id was learnt earlier and is merged first. */
export class Merges {
  readonly #merged = new Map<number, number>();

  add(left: number, right: number, merged: number): void {
    this.#merged.set(left * BASE + right, merged);
  }

  /** Merges the ids of a word's bytes in place, until no two neighbours make a token: O(n^2) in the ids given. */
  apply(ids: number[]): void {
    // joined[i] is what ids[i] and its right neighbour make.
    const joined = ids.slice(1).map((right, i) => this.#join(ids[i], right));
    for (;;) {
      let merged = NONE;
      for (const id of joined) if (id < merged) merged = id;
      if (merged === NONE) return;
      const first = joined.indexOf(merged);
      ids.splice(first, 2, merged);
      joined.splice(first, 1);
      if (first > 0) joined[first - 1] = this.#join(ids[first - 1], merged);
      if (first < joined.length) joined[first] = this.#join(merged, ids[first + 1]);
    }
  }

  #join(left: number | undefined, right: number | undefined): number {
    if (left === undefined || right === undefined) return NONE;
    return this.#merged.get(left * BASE + right) ?? NONE;
  }
}
