import { Queue, type JobsOptions } from 'bullmq';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { JobPriority, JobSpec } from './job.js';
import { keyPrefix } from './redis.js';

/** What a worker is given to do. The contents lie in the file store: a task names them. */
export const Task = z.discriminatedUnion('kind', [
  /** Reads the input through, and cuts it into chunks. */
  z.object({ kind: z.literal('plan'), job: z.string() }),
  /** Embeds the documents of a chunk. `turn`: it has waited for its turn. */
  z.object({
    kind: z.literal('chunk'),
    job: z.string(),
    chunk: z.number(),
    run: z.number(),
    turn: z.boolean().default(false),
  }),
  /** Joins what the chunks came to. */
  z.object({ kind: z.literal('finish'), job: z.string() }),
  /** The completion window is over. */
  z.object({ kind: z.literal('expire'), job: z.string() }),
  /** Removes what has expired, and queues what was lost. */
  z.object({ kind: z.literal('tidy') }),
]);
export type Task = z.output<typeof Task>;

/** Chunks of one job that are queued at a time: a long job neither fills Redis nor holds up others. */
export const WINDOW = 32;

export const QUEUE_NAME = 'jobs';
const TIDY_MS = 60_000;
/** Events that BullMQ keeps for who watches the queue. */
const EVENTS = 1000;
const RETRY_MS = 1000;

/** Numbers of BullMQ: the lower, the sooner. What has none goes first: reading through and finishing are quick. */
const PRIORITY: Record<JobPriority, number> = { high: 1, normal: 2, low: 3 };

export interface AddOptions {
  /** Also where the task has failed for good. @default false */
  again?: boolean;
}

export interface TaskQueueOptions {
  flow: string;
  attempts: number;
  /** How long files and finished jobs are kept, and tasks that failed for good are shown. */
  retentionMs: number;
}

/** The queue on Redis, of tasks that are some 100 bytes each. A task that is queued already is not queued again. */
export class TaskQueue {
  readonly bull: Queue;

  constructor(
    connection: Redis,
    private readonly options: TaskQueueOptions,
  ) {
    this.bull = new Queue(QUEUE_NAME, {
      connection: connection,
      prefix: keyPrefix(options.flow),
      streams: { events: { maxLen: EVENTS } },
      defaultJobOptions: {
        attempts: options.attempts,
        backoff: { type: 'exponential', delay: RETRY_MS, jitter: 0.5 },
        removeOnComplete: true,
        removeOnFail: { age: options.retentionMs / 1000 },
      },
    });
    this.bull.on('error', () => {}); // The connection tells.
  }

  async plan({ id }: JobSpec, options?: AddOptions): Promise<void> {
    await this.#add({ kind: 'plan', job: id }, `${id}-plan`, {}, options);
  }

  async chunk({ id, priority }: JobSpec, chunk: number, run: number, options?: AddOptions): Promise<void> {
    const task: Task = { kind: 'chunk', job: id, chunk, run, turn: false };
    await this.#add(task, `${id}-chunk-${chunk}-${run}`, { priority: PRIORITY[priority] }, options);
  }

  async finish({ id }: JobSpec, run: number, options?: AddOptions): Promise<void> {
    await this.#add({ kind: 'finish', job: id }, `${id}-finish-${run}`, {}, options);
  }

  async expire({ id, expiresAt }: JobSpec): Promise<void> {
    await this.#add({ kind: 'expire', job: id }, `${id}-expire`, { delay: Math.max(0, expiresAt - Date.now()) });
  }

  async ended({ id }: JobSpec): Promise<void> {
    await this.bull.remove(`${id}-expire`);
  }

  async tidyRegularly(): Promise<void> {
    const template = { name: 'tidy', data: { kind: 'tidy' } satisfies Task };
    const every = Math.min(TIDY_MS, this.options.retentionMs);
    await this.bull.upsertJobScheduler('tidy', { every }, template);
  }

  async close(): Promise<void> {
    await this.bull.close();
  }

  async #add(task: Task, jobId: string, options: JobsOptions, { again = false }: AddOptions = {}): Promise<void> {
    if (again) {
      const earlier = await this.bull.getJob(jobId);
      if (await earlier?.isFailed()) await earlier?.remove();
    }
    await this.bull.add(task.kind, task, { ...options, jobId });
  }
}
