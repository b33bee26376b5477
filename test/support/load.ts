import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { FlowProcess } from './flow-process.js';
import { sampleDocument } from './samples.js';
import { cosine } from './vectors.js';

export interface LoadOptions {
  /** Makes a call again whose connection broke or was refused, as clients do when a gateway restarts. */
  reconnects?: boolean;
}

const RECONNECT_MS = 20;

/** Requests without pause until `stop`; every answer must be whole and right. */
export class Load {
  answered = 0;
  reconnected = 0;
  failures: string[] = [];
  #stopped = false;
  #workers: Promise<void>[];
  #expected: number[] | undefined;

  constructor(
    private readonly flow: FlowProcess,
    parallel: number,
    private readonly options: LoadOptions = {},
  ) {
    this.#workers = Array.from({ length: parallel }, () => this.#run());
  }

  async untilAnswered(more: number): Promise<void> {
    const wanted = this.answered + more;
    while (this.answered < wanted && this.failures.length === 0) await delay(5);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
  }

  async #run(): Promise<void> {
    const image = sampleDocument('000.jpg');
    while (!this.#stopped) {
      try {
        const { status, body } = await this.flow.post({
          data: [{ text: 'a red circle' }, image],
          exec_endpoint: '/encode',
        });
        const [text, picture] = body.data;
        this.#expected ??= text?.embedding ?? [];
        if (status !== 200 || body.header.status !== null || !picture?.embedding)
          throw new Error(JSON.stringify(body.header));
        assert.ok(cosine(text?.embedding ?? [], this.#expected) > 0.99999);
        this.answered += 1;
      } catch (error) {
        if (this.options.reconnects && connectionFailed(error)) {
          this.reconnected += 1;
          await delay(RECONNECT_MS);
          continue;
        }
        this.failures.push(String(error));
        return;
      }
    }
  }
}

/** As `fetch` tells it: there was no answer, or its end is missing. */
function connectionFailed(error: unknown): boolean {
  return error instanceof TypeError && ['fetch failed', 'terminated'].includes(error.message);
}
