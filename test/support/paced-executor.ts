import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { Executor } from '../../executors/executor.js';
import type { Document } from '../../src/document/document.js';

const Settings = z.object({
  /** Milliseconds that a batch takes, by replica; those beyond take as long as the last. */
  ms: z.array(z.number()).min(1),
  /** Of these batches of the first replica each stalls, for `stall_ms`. */
  stall_every: z.number().optional(),
  stall_ms: z.number().default(0),
});

/**
 * Tags each document with its process, and takes its time: one batch after the other, as a model does. The text `abort`
 * ends the process, as a fault in native code would.
 */
export default class PacedExecutor extends Executor {
  static override requests = { '/default': 'tag' };
  override batchSize = 4;
  readonly #settings = Settings.parse(this.context.with);
  #turn: Promise<unknown> = Promise.resolve();
  #batches = 0;

  async tag(docs: Document[]): Promise<void> {
    if (docs.some(({ text }) => text === 'abort')) process.abort();
    const { ms, stall_every, stall_ms } = this.#settings;
    const { replica } = this.context;
    const stalls = replica === 0 && stall_every !== undefined && ++this.#batches % stall_every === 0;
    const took = this.#turn.then(() => delay((stalls ? stall_ms : 0) + (ms[replica] ?? ms.at(-1) ?? 0)));
    // A stall holds up its own batch alone.
    if (!stalls) this.#turn = took;
    await took;
    for (const doc of docs) doc.tags = { pid: process.pid };
  }
}
