import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { z } from 'zod';
import type { Document } from '../../src/document/document.js';
import { ClipflowError } from '../../src/errors.js';
import { Executor } from '../../executors/executor.js';

const Settings = z.object({ marker: z.string() });

/**
 * Tags each document with its process. The first replica that sees the text `hang` creates the file `marker`, and then
 * answers nothing, as a session that hangs would, until it gets SIGUSR2. The first that sees `stuck` gives itself up
 * while one of its threads is in native code.
 */
export default class HangingExecutor extends Executor {
  static override requests = { '/default': 'tag' };
  #marker = Settings.parse(this.context.with).marker;
  #released: Promise<void> | undefined;
  override batchSize = 4;

  async tag(docs: Document[]): Promise<void> {
    if (docs.some(({ text }) => text === 'hang') && this.#isFirst()) {
      this.#released = new Promise((resolve) => process.once('SIGUSR2', () => resolve()));
    }
    if (docs.some(({ text }) => text === 'stuck') && this.#isFirst()) await this.#endStuck();
    await this.#released;
    for (const doc of docs) doc.tags = { pid: process.pid };
  }

  async #endStuck(): Promise<void> {
    const code = `
      require('node:worker_threads').parentPort.postMessage('stuck');
      require('node:child_process').execFileSync('sleep', ['20'], { stdio: 'ignore' });`;
    await once(new Worker(code, { eval: true }), 'message');
    this.context.die(new ClipflowError('REPLICA_LOST', 'a thread is stuck'));
  }

  #isFirst(): boolean {
    try {
      writeFileSync(this.#marker, '', { flag: 'wx' });
      return true;
    } catch {
      return false;
    }
  }
}
