import { Worker } from 'node:worker_threads';
import { ClipflowError } from '../../../src/errors.js';
import type { Answer, Calls, Result } from './session-calls.js';

interface Pending {
  resolve: (result: Result) => void;
  reject: (error: Error) => void;
}

/**
 * The main thread's end of a session worker. The worker is never terminated: onnxruntime-node aborts the whole process
 * when a thread is stopped while it loads or runs.
 */
export class SessionThread {
  readonly #worker = new Worker(new URL('./session-worker.js', import.meta.url));
  /** Requests without an answer yet, in the order in which the answers will come. */
  readonly #pending: Pending[] = [];
  readonly #exited: Promise<void>;
  #closing = false;
  #lost: ClipflowError | undefined;

  /**
   * @param onSpent takes the buffers of requests back.
   * @param onExit is called when the worker ends without `close`.
   */
  constructor(onSpent: (buffers: ArrayBuffer[]) => void, onExit: (error: ClipflowError) => void) {
    this.#worker.on('message', (answer: Answer) => {
      onSpent(answer.spent);
      const pending = this.#pending.shift();
      if ('error' in answer) pending?.reject(ClipflowError.fromData(answer.error));
      else pending?.resolve(answer.result);
    });
    let cause: unknown;
    this.#worker.on('error', (error) => (cause = error));
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        const reason = cause instanceof Error ? cause.message : `exit code ${code}`;
        this.#lost = new ClipflowError('REPLICA_LOST', `The thread of the model ended (${reason}).`, { cause });
        for (const { reject } of this.#pending.splice(0)) reject(this.#lost);
        resolve();
        if (!this.#closing) onExit(this.#lost);
      });
    });
  }

  /** Asks the worker; the buffers in `transfer` move to it. */
  async call<K extends keyof Calls>(
    kind: K,
    request: Calls[K]['request'],
    transfer: ArrayBuffer[] = [],
  ): Promise<Calls[K]['result']> {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#closing) throw new ClipflowError('UNAVAILABLE', 'The model is being closed.');
    this.#worker.postMessage({ kind, request }, transfer);
    return new Promise<Result>((resolve, reject) => this.#pending.push({ resolve, reject }));
  }

  /** Lets what was asked before finish, then ends the worker. */
  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      if (this.#lost === undefined) this.#worker.postMessage({ kind: 'close', request: null });
    }
    return this.#exited;
  }
}
