import { randomUUID } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Redis } from 'ioredis';
import { ClipflowError } from '../../src/errors.js';
import type { Flow } from '../../src/flow/flow.js';
import { readBacklog } from '../../src/jobs/backlog.js';
import { keys, type FileRecord, type Job, type JobSpec } from '../../src/jobs/job.js';
import { JobBook } from '../../src/jobs/job-book.js';
import { JobControl } from '../../src/jobs/job-control.js';
import { connectRedis, withRedis } from '../../src/jobs/redis.js';
import type { FileStore } from '../../src/jobs/store/file-store.js';
import { openFileStore } from '../../src/jobs/store/open.js';
import { TaskQueue } from '../../src/jobs/task-queue.js';
import type { Logger } from '../../src/telemetry/log.js';
import { BacklogReader } from './backlog-reader.js';

/** What is asked of a new job beside what every job has. */
export type NewJob = Omit<JobSpec, 'owner' | 'input' | 'createdAt' | 'expiresAt'> & {
  /** The file of the owner's that is the input; absent: what was written to the job's own. */
  inputFileId?: string | undefined;
};

/** Jobs and files as the routes use them: each caller sees its own. */
export class JobsApi {
  readonly backlog = new BacklogReader(() => this.run(() => readBacklog(this.control, this.flow.jobs.chunk)));

  private constructor(
    readonly flow: Flow,
    readonly control: JobControl,
    readonly store: FileStore,
    private readonly redis: Redis,
  ) {}

  /** Undefined where the flow names no Redis. Serves nothing while Redis is away, and waits for it. */
  static async open(flow: Flow, log: Logger): Promise<JobsApi | undefined> {
    if (flow.redis === undefined) return undefined;
    const store = await openFileStore(flow.jobs.files);
    const redis = connectRedis(flow.redis, log);
    const { attempts, retentionMs } = flow.jobs;
    const queue = new TaskQueue(redis, { flow: flow.name, attempts, retentionMs });
    return new JobsApi(flow, new JobControl(new JobBook(redis, flow.name), queue), store, redis);
  }

  /** @throws UNAVAILABLE when Redis cannot be reached */
  run<T>(task: () => Promise<T>): Promise<T> {
    return withRedis(this.redis, task);
  }

  /** @throws NotFound when the caller has no such file */
  async file(id: string, owner: string): Promise<FileRecord> {
    const file = await this.control.book.file(id);
    if (file?.owner === owner) return file;
    throw new NotFound(`there is no file ${id}`);
  }

  /** @throws NotFound when the caller has no such job */
  async job(id: string, owner: string): Promise<Job> {
    const job = await this.control.book.job(id);
    if (job?.spec.owner === owner) return job;
    throw new NotFound(`there is no job ${id}`);
  }

  /**
   * The id of the job to make: that of an earlier one, which may be there already, when the request bears the idempotency
   * key of that one.
   * @throws OVERLOADED when the caller has as many unfinished jobs as it may
   */
  async idFor(kind: 'batch' | 'job', owner: string, request: FastifyRequest): Promise<string> {
    const fresh = `${kind}_${randomUUID().replaceAll('-', '')}`;
    const key = request.headers['idempotency-key']?.toString();
    const { book } = this.control;
    const id = key === undefined ? fresh : await book.idOfKey(owner, key, fresh);
    if (id !== fresh) return id;
    const { maxUnfinished } = this.flow.jobs;
    if ((await book.unfinishedOf(owner)) < maxUnfinished) return id;
    throw new ClipflowError('OVERLOADED', `${maxUnfinished} jobs are unfinished (jobs.max_unfinished): wait for some`);
  }

  /** Starts a job, unless it has been started already. */
  async start(job: NewJob, owner: string): Promise<Job> {
    const createdAt = Date.now();
    const { inputFileId } = job;
    const input = inputFileId === undefined ? keys.input(job.id) : keys.file(inputFileId);
    const expiresAt = createdAt + windowMs(job.completionWindow);
    if (inputFileId !== undefined) {
      const file = await this.file(inputFileId, owner);
      const keepUntil = expiresAt + this.flow.jobs.retentionMs;
      if (file.expiresAt < keepUntil) await this.control.book.putFile({ ...file, expiresAt: keepUntil });
    }
    await this.control.start({ ...job, inputFileId, owner, input, createdAt, expiresAt });
    return this.job(job.id, owner);
  }

  async close(): Promise<void> {
    await this.control.queue.close().catch(() => {});
    this.redis.disconnect();
  }
}

/** As OpenAI answers for what there is not. */
export class NotFound extends ClipflowError {
  constructor(message: string) {
    super('NOT_FOUND', message);
  }
}

const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
export const WINDOW_PATTERN = /^(\d+)([smhd])$/;

/** Milliseconds of a completion window such as `24h`. */
function windowMs(text: string): number {
  const [, count, unit] = WINDOW_PATTERN.exec(text) ?? [];
  return Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
}
