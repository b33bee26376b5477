/**
 * Answers of one stream: computed side by side, written one after the other in the order of the requests, at most
 * `limit` under way (0: no limit). A failed write ends it: `push` and `end` reject from then on.
 */
export class OrderedAnswers<T> {
  #tail: Promise<void> = Promise.resolve();
  #underWay = 0;
  #room: (() => void) | undefined;

  constructor(
    private readonly limit: number,
    private readonly write: (answer: T) => Promise<void>,
  ) {}

  /** Resolves when the next request may be taken in. */
  async push(answer: Promise<T>): Promise<void> {
    this.#underWay += 1;
    this.#tail = this.#tail.then(async () => {
      await this.write(await answer);
      this.#underWay -= 1;
      this.#room?.();
    });
    this.#tail.catch(() => this.#room?.()); // The reader hears of it by awaiting the tail.
    if (this.limit === 0 || this.#underWay < this.limit) return;
    await new Promise<void>((resolve) => (this.#room = resolve));
    this.#room = undefined;
  }

  /** Rejects with the first failed write. */
  end(): Promise<void> {
    return this.#tail;
  }
}
