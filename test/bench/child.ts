import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** A process beside this one that says hello, then answers what it is asked. */
export class Child implements AsyncDisposable {
  hello: unknown;

  private constructor(private readonly child: ChildProcess) {}

  static async start(file: URL, ...args: string[]): Promise<Child> {
    const child = new Child(fork(file, args));
    child.hello = await child.#message();
    return child;
  }

  async ask<T>(question: object): Promise<T> {
    this.child.send(question);
    return (await this.#message()) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.child.connected) return;
    this.child.disconnect();
    await once(this.child, 'exit');
  }

  async #message(): Promise<unknown> {
    const over = new AbortController();
    const { signal } = over;
    const ended = once(this.child, 'exit', { signal }).then(([code]) => {
      throw new Error(`a process of the benchmark ended with ${String(code)}; its output says why`);
    });
    ended.catch(() => {}); // Aborted when the message came.
    try {
      const [message] = (await Promise.race([once(this.child, 'message', { signal }), ended])) as [unknown];
      return message;
    } finally {
      over.abort();
    }
  }
}
