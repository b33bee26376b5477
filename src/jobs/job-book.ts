import type { Redis } from 'ioredis';
import { z } from 'zod';
import { defineScripts, type BookRedis } from './job-scripts.js';
import { ENDED, FileRecord, JobError, JobSpec, STATUSES, type Job, type JobState, type JobStatus } from './job.js';
import { keyPrefix } from './redis.js';

/** A job as its hash holds it: what was asked as JSON, what changes as fields of their own. */
const Stored = z.object({
  spec: z.string(),
  status: z.enum(STATUSES),
  paused: z.enum(['0', '1']).default('0'),
  late: z.enum(['0', '1']).default('0'),
  run: z.coerce.number().default(0),
  lines: z.coerce.number().optional(),
  chunks: z.coerce.number().default(0),
  chunksDone: z.coerce.number().default(0),
  completed: z.coerce.number().default(0),
  failed: z.coerce.number().default(0),
  errors: z.string().default('[]'),
  outputFileId: z.string().optional(),
  errorFileId: z.string().optional(),
});

const IDEMPOTENCY_SECONDS = 86_400;

export interface ChunkCounts {
  completed: number;
  failed: number;
}

/** What Redis knows of jobs and files: some hundred bytes each, and some 20 for each chunk. Contents lie in the store. */
export class JobBook {
  readonly #redis: BookRedis;
  readonly #prefix: string;

  constructor(redis: Redis, flow: string) {
    this.#redis = defineScripts(redis);
    this.#prefix = keyPrefix(flow);
  }

  /** False when there is one of this id already. */
  async createJob(spec: JobSpec): Promise<boolean> {
    const { id, owner, createdAt } = spec;
    const added = await this.#redis.clipflowCreate(
      ...[this.#job(id), this.#jobs(owner), this.#unfinished(owner), this.#key('open')],
      ...[id, JSON.stringify(spec), createdAt],
    );
    return added === 1;
  }

  async job(id: string): Promise<Job | undefined> {
    return parseJob(await this.#redis.hgetall(this.#job(id)));
  }

  /** Newest first, after the one of id `after`. */
  async jobsOf(owner: string, limit: number, after?: string): Promise<Job[]> {
    const ids = await this.#page(this.#jobs(owner), limit, after);
    const jobs = await Promise.all(ids.map((id) => this.job(id)));
    return jobs.filter((job) => job !== undefined);
  }

  /** Without those that have just ended, which are in the set for a moment more. */
  async unfinishedOf(owner: string): Promise<number> {
    const ids = await this.#redis.smembers(this.#unfinished(owner));
    const jobs = await Promise.all(ids.map((id) => this.job(id)));
    return jobs.filter((job) => job !== undefined && !hasEnded(job)).length;
  }

  /** Ids of the jobs of all owners that have not ended. */
  open(): Promise<string[]> {
    return this.#redis.smembers(this.#key('open'));
  }

  /** From one of some states to another, with what else changes. False when the job is in none of them. */
  async move(
    id: string,
    from: readonly JobStatus[],
    to: JobStatus,
    fields: Record<string, string | number> = {},
  ): Promise<boolean> {
    const changes = { status: to, [`at:${to}`]: Date.now(), ...fields };
    const moved = await this.#redis.clipflowMove(this.#job(id), from.join(' '), ...Object.entries(changes).flat());
    return moved === 1;
  }

  /** Out of the sets of unfinished jobs; its record and its files go at `expiresAt`. */
  async ended({ id, owner }: JobSpec, expiresAt: number): Promise<void> {
    await this.#redis
      .multi()
      .srem(this.#key('open'), id)
      .srem(this.#unfinished(owner), id)
      .zadd(this.#key('expiry'), expiresAt, `job ${id}`)
      .exec();
  }

  /** With what it asks for now: the window begins anew. */
  async reopened(spec: JobSpec): Promise<void> {
    const { id, owner } = spec;
    await this.#redis
      .multi()
      .hset(this.#job(id), 'spec', JSON.stringify(spec), 'late', '0')
      .sadd(this.#key('open'), id)
      .sadd(this.#unfinished(owner), id)
      .zrem(this.#key('expiry'), `job ${id}`)
      .exec();
  }

  async planned(id: string, lines: number, chunks: number): Promise<boolean> {
    return this.move(id, ['validating'], 'in_progress', { lines, chunks });
  }

  async setPaused(id: string, paused: boolean): Promise<void> {
    await this.#redis.hset(this.#job(id), 'paused', paused ? '1' : '0');
  }

  /** Makes the tasks of earlier runs void; answers with the new run. */
  newRun(id: string): Promise<number> {
    return this.#redis.hincrby(this.#job(id), 'run', 1);
  }

  /** Counts a chunk once, however often it is told. True when it was the last one of a job in progress. */
  async chunkDone(id: string, chunk: number, { completed, failed }: ChunkCounts): Promise<boolean> {
    const all = await this.#redis.clipflowChunkDone(this.#job(id), this.#chunks(id), chunk, completed, failed);
    return all === 1;
  }

  /** Takes the counts of chunks back: they will be done again. */
  async chunksUndone(id: string, chunks: readonly number[]): Promise<void> {
    for (const chunk of chunks) await this.#redis.clipflowChunkUndone(this.#job(id), this.#chunks(id), chunk);
  }

  async isChunkDone(id: string, chunk: number): Promise<boolean> {
    return (await this.#redis.hexists(this.#chunks(id), String(chunk))) === 1;
  }

  async chunks(id: string): Promise<Map<number, ChunkCounts>> {
    const fields = Object.entries(await this.#redis.hgetall(this.#chunks(id)));
    return new Map(
      fields.map(([chunk, counts]) => {
        const [completed = 0, failed = 0] = counts.split(' ').map(Number);
        return [Number(chunk), { completed, failed }];
      }),
    );
  }

  async removeJob({ id, owner }: JobSpec): Promise<void> {
    await this.#redis
      .multi()
      .del(this.#job(id), this.#chunks(id))
      .zrem(this.#jobs(owner), id)
      .srem(this.#unfinished(owner), id)
      .srem(this.#key('open'), id)
      .zrem(this.#key('expiry'), `job ${id}`)
      .exec();
  }

  async putFile(file: FileRecord): Promise<void> {
    const { id, owner, createdAt, expiresAt } = file;
    await this.#redis
      .multi()
      .set(this.#file(id), JSON.stringify(file))
      .zadd(this.#files(owner), createdAt, id)
      .zadd(this.#key('expiry'), expiresAt, `file ${id}`)
      .exec();
  }

  async file(id: string): Promise<FileRecord | undefined> {
    const json = await this.#redis.get(this.#file(id));
    return json === null ? undefined : FileRecord.parse(JSON.parse(json));
  }

  async filesOf(owner: string, limit: number, after?: string): Promise<FileRecord[]> {
    const ids = await this.#page(this.#files(owner), limit, after);
    const files = await Promise.all(ids.map((id) => this.file(id)));
    return files.filter((file) => file !== undefined);
  }

  async removeFile({ id, owner }: FileRecord): Promise<void> {
    await this.#redis
      .multi()
      .del(this.#file(id))
      .zrem(this.#files(owner), id)
      .zrem(this.#key('expiry'), `file ${id}`)
      .exec();
  }

  /** What is to be removed by `now`: the first `limit` of it. */
  async expired(now: number, limit: number): Promise<{ kind: 'job' | 'file'; id: string }[]> {
    const members = await this.#redis.zrangebyscore(this.#key('expiry'), '-inf', now, 'LIMIT', 0, limit);
    return members.map((member) => {
      const [kind, id = ''] = member.split(' ');
      return { kind: kind === 'job' ? 'job' : 'file', id };
    });
  }

  async forgetExpiry(kind: 'job' | 'file', id: string): Promise<void> {
    await this.#redis.zrem(this.#key('expiry'), `${kind} ${id}`);
  }

  /** The job that the owner's key stands for: `id` unless the key was used within a day. */
  async idOfKey(owner: string, key: string, id: string): Promise<string> {
    const name = this.#key(`idempotency:${owner}:${key}`);
    if ((await this.#redis.set(name, id, 'EX', IDEMPOTENCY_SECONDS, 'NX')) === 'OK') return id;
    return (await this.#redis.get(name)) ?? id;
  }

  /**
   * Takes the owner's turn for `documents` at `rate` a second; answers with the milliseconds to wait before they are sent
   * (the generic cell rate algorithm, with a second's worth of burst).
   */
  async turn(owner: string, documents: number, rate: number): Promise<number> {
    return this.#redis.clipflowTurn(this.#key(`rate:${owner}`), documents, rate);
  }

  /** Page of a sorted set of ids, the newest first. */
  async #page(set: string, limit: number, after: string | undefined): Promise<string[]> {
    if (after === undefined) return this.#redis.zrevrange(set, 0, limit - 1);
    const rank = await this.#redis.zrevrank(set, after);
    return rank === null ? [] : this.#redis.zrevrange(set, rank + 1, rank + limit);
  }

  #key(name: string): string {
    return `${this.#prefix}:${name}`;
  }

  #job(id: string): string {
    return this.#key(`job:${id}`);
  }

  #chunks(id: string): string {
    return this.#key(`chunks:${id}`);
  }

  #jobs(owner: string): string {
    return this.#key(`jobs:${owner}`);
  }

  #unfinished(owner: string): string {
    return this.#key(`unfinished:${owner}`);
  }

  #file(id: string): string {
    return this.#key(`file:${id}`);
  }

  #files(owner: string): string {
    return this.#key(`files:${owner}`);
  }
}

function parseJob(hash: Record<string, string>): Job | undefined {
  if (hash.spec === undefined) return undefined;
  const { spec, paused, late, errors, ...stored } = Stored.parse(hash);
  const at: JobState['at'] = {};
  for (const status of STATUSES) {
    const time = hash[`at:${status}`];
    if (time !== undefined) at[status] = Number(time);
  }
  return {
    spec: JobSpec.parse(JSON.parse(spec)),
    state: {
      ...stored,
      lines: stored.lines,
      // Empty where a retry has made none any more.
      outputFileId: stored.outputFileId || undefined,
      errorFileId: stored.errorFileId || undefined,
      paused: paused === '1',
      late: late === '1',
      errors: z.array(JobError).parse(JSON.parse(errors)),
      at,
    },
  };
}

export function hasEnded({ state }: Job): boolean {
  return ENDED.includes(state.status);
}
