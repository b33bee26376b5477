import { ClipflowError } from '../errors.js';
import type { Job, JobSpec } from './job.js';
import { hasEnded, type JobBook } from './job-book.js';
import { WINDOW, type AddOptions, type TaskQueue } from './task-queue.js';

/** What may be done with a job, by its owner through the gateway and by workers: every change goes through here. */
export class JobControl {
  constructor(
    readonly book: JobBook,
    readonly queue: TaskQueue,
  ) {}

  /** Whatever fails after the first line is made up for by `repair`. */
  async start(spec: JobSpec): Promise<void> {
    if (!(await this.book.createJob(spec))) return;
    await this.queue.plan(spec);
    await this.queue.expire(spec);
  }

  /** Documents under way are finished; what has been done by then can be downloaded. */
  async cancel({ spec, state }: Job): Promise<void> {
    if (await this.book.move(spec.id, ['validating', 'in_progress'], 'cancelling')) {
      await this.queue.finish(spec, state.run);
      return;
    }
    const now = (await this.book.job(spec.id))?.state.status;
    if (now === 'cancelling' || now === 'cancelled') return;
    throw new ClipflowError('INVALID_REQUEST', `${spec.id} is ${now}: it cannot be cancelled any more`);
  }

  /** The completion window is over. */
  async expire({ spec, state }: Job): Promise<void> {
    // It has expired once its files are written: who polls for that reads them next.
    if (await this.book.move(spec.id, ['validating', 'in_progress'], 'finalizing', { late: 1 }))
      await this.queue.finish(spec, state.run);
  }

  /** Chunks that are under way are finished. */
  async pause({ spec, state }: Job): Promise<void> {
    if (hasEnded({ spec, state })) {
      throw new ClipflowError('INVALID_REQUEST', `${spec.id} is ${state.status}: there is nothing to pause`);
    }
    await this.book.setPaused(spec.id, true);
  }

  async resume({ spec, state }: Job): Promise<void> {
    if (!state.paused) return;
    await this.book.setPaused(spec.id, false);
    // Read again: it may have been planned while it was paused.
    const now = (await this.book.job(spec.id))?.state;
    if (now?.status === 'in_progress') await this.#queueAnew(spec, now.chunks);
  }

  /** The chunks in which documents failed are done again, within a window as long as the first; the output is written anew. */
  async retry({ spec, state }: Job): Promise<void> {
    const chunks = await this.book.chunks(spec.id);
    const failed = [...chunks].filter(([, counts]) => counts.failed > 0).map(([chunk]) => chunk);
    const missing = state.chunks - chunks.size;
    const retryable = ['completed', 'expired', 'cancelled'].includes(state.status) && failed.length + missing > 0;
    if (!retryable) {
      throw new ClipflowError(
        'INVALID_REQUEST',
        `${spec.id} is ${state.status}: there is nothing that could be retried`,
      );
    }
    const again = { ...spec, expiresAt: Date.now() + spec.expiresAt - spec.createdAt };
    await this.book.reopened(again);
    await this.book.chunksUndone(spec.id, failed);
    await this.book.move(spec.id, [state.status], 'in_progress');
    await this.#queueAnew(again, state.chunks);
    await this.queue.expire(again);
  }

  /** After a chunk: the next one of those that are queued behind it. */
  async queueNext(spec: JobSpec, after: number, chunks: number, run: number): Promise<void> {
    const next = await this.#firstOpen(spec.id, after + WINDOW, chunks);
    if (next !== undefined) await this.queue.chunk(spec, next, run);
  }

  /**
   * Queues the first chunks: every later one is queued by the one `WINDOW` before it. What is queued already is not queued
   * twice, so this also mends a job whose tasks were lost.
   */
  async queueFirst(spec: JobSpec, chunks: number, run: number, options?: AddOptions): Promise<void> {
    for (let first = 0; first < Math.min(WINDOW, chunks); first++) {
      const chunk = await this.#firstOpen(spec.id, first, chunks);
      if (chunk !== undefined) await this.queue.chunk(spec, chunk, run, options);
    }
  }

  /** Queues what a job waits for, should it have been lost: Redis may forget what it was told last. */
  async repair({ spec, state }: Job): Promise<void> {
    const again = { again: true };
    if (state.status === 'validating') await this.queue.plan(spec, again);
    if (['cancelling', 'finalizing'].includes(state.status)) await this.queue.finish(spec, state.run, again);
    if (state.status !== 'in_progress') return;
    if (!state.paused) await this.queueFirst(spec, state.chunks, state.run, again);
    if (state.chunksDone >= state.chunks) await this.queue.finish(spec, state.run, again);
    await this.queue.expire(spec);
  }

  async #queueAnew(spec: JobSpec, chunks: number): Promise<void> {
    const run = await this.book.newRun(spec.id);
    await this.queueFirst(spec, chunks, run);
  }

  async #firstOpen(id: string, from: number, chunks: number): Promise<number | undefined> {
    for (let chunk = from; chunk < chunks; chunk += WINDOW) {
      if (!(await this.book.isChunkDone(id, chunk))) return chunk;
    }
    return undefined;
  }
}
