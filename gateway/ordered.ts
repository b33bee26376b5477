/**
 * Answers of one stream: computed side by side, written one after the other in the order of the requests, at most
 * `limit` under way (0: no limit). A failed write ends it.
 */
export class OrderedAnswers<T> {
  #tail: Promise<void> = Promise.resolve();
  #underWay = 0;
  #room: (() => void) | undefined;
  #fail: (error: unknown) => void = () => {};

  /** Rejects at the first failed write, also while the caller sends nothing more. */
  readonly failure = new Promise<never>((_, reject) => (this.#fail = reject));

  constructor(
    private readonly limit: number,
    private readonly write: (answer: T) => Promise<void>,
  ) {
    this.failure.catch(() => {}); // Who reads it is told; who does not must not crash.
  }

  /** Resolves when the next request may be taken in. */
  async push(answer: Promise<T>): Promise<void> {
    this.#underWay += 1;
    answer.catch(() => {}); // It is awaited when its turn comes, which must not be too late.
    this.#tail = this.#tail.then(async () => {
      await this.write(await answer);
      this.#underWay -= 1;
      this.#room?.();
    });
    this.#tail.catch((error: unknown) => {
      this.#fail(error);
      this.#room?.();
    });
    if (this.limit === 0 || this.#underWay < this.limit) return;
    await new Promise<void>((resolve) => (this.#room = resolve));
    this.#room = undefined;
  }

  /** Requests that are not answered yet. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Resolves when all is written; rejects with the first failed write. */
  end(): Promise<void> {
    return this.#tail;
  }
}
