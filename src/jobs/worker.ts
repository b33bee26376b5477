import { setMaxListeners } from 'node:events';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { Semaphore } from 'async-mutex';
import { DelayedError, UnrecoverableError, WaitingError, Worker, type Job as BullJob } from 'bullmq';
import { LRUCache } from 'lru-cache';
import { ClipflowError, toClipflowError } from '../errors.js';
import type { Flow } from '../flow/flow.js';
import type { Running } from '../supervise/lifecycle.js';
import type { Logger } from '../telemetry/log.js';
import { serveMetrics } from '../telemetry/metrics-server.js';
import { joinParts } from './finish.js';
import { GatewayClient, type GatewayClientOptions } from './gateway-client.js';
import type { Job, JobError } from './job.js';
import { hasEnded, JobBook } from './job-book.js';
import { JobControl } from './job-control.js';
import { documentsOf, type LineIndex } from './lines.js';
import { planJob, readIndex } from './plan.js';
import { connectRedis, keyPrefix } from './redis.js';
import { lineFormat } from './requests.js';
import { giveUpChunk, runChunk } from './run-chunk.js';
import { openFileStore } from './store/open.js';
import { openSources, type Sources } from './store/sources.js';
import type { FileStore } from './store/file-store.js';
import { QUEUE_NAME, Task, TaskQueue } from './task-queue.js';
import { tidy } from './tidy.js';
import { WorkerMetrics } from './worker-metrics.js';

export interface WorkerOptions {
  gateway: Omit<GatewayClientOptions, 'concurrency'>;
  monitoringPort?: number | undefined;
}

/** Tasks at a time: while one waits for its last documents, others keep the gateway busy. */
const TASKS = 4;
/** A worker that is silent for so long is taken for dead, and its tasks are given to others. */
const LOCK_MS = 15_000;
const STALLED_CHECK_MS = 5_000;
/** A task that was under way when its worker died is not to blame: it only waits for the gateway. */
const MAX_STALLED = 100;
const INDEXES_KEPT = 32;
const HAND_BACK_MS = 3_000;

/** Starts a worker, which takes tasks from Redis. All it does is to wait for others, so it never misses to renew its locks. */
export async function startWorker(flow: Flow, options: WorkerOptions, log: Logger): Promise<Running> {
  if (flow.redis === undefined) {
    throw new ClipflowError('INVALID_CONFIG', 'a worker needs Redis: set with.redis, CLIPFLOW_REDIS or --redis');
  }
  const redis = connectRedis(flow.redis, log);
  const { attempts, retentionMs, concurrency } = flow.jobs;
  const queue = new TaskQueue(redis, { flow: flow.name, attempts, retentionMs });
  const control = new JobControl(new JobBook(redis, flow.name), queue);
  const metrics = new WorkerMetrics();
  const [store, sources] = await Promise.all([openFileStore(flow.jobs.files), openSources(flow.jobs.sources)]);
  const client = new GatewayClient({ ...options.gateway, concurrency });
  const tasks = new TaskRunner(flow, control, store, sources, client, metrics, log);
  const worker = new Worker(QUEUE_NAME, (task: BullJob, token) => tasks.run(task, token), {
    connection: redis,
    prefix: keyPrefix(flow.name),
    name: `${hostname()}-${process.pid}`,
    concurrency: TASKS,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    maxStalledCount: MAX_STALLED,
  });
  worker.on('error', () => {}); // The connection tells.
  worker.on('stalled', (task) => log.warn({ event: 'task_stalled', task }));
  const stopMetrics =
    options.monitoringPort === undefined
      ? () => {}
      : await serveMetrics(metrics.registry, {
          port: options.monitoringPort,
          host: flow.gateway.host,
          waitForPort: true,
          ready: () => redis.status === 'ready',
        });
  // Waits for Redis, however long that takes: the worker is of use from then on.
  void queue.tidyRegularly().catch((error: unknown) => log.error({ event: 'tidy_not_scheduled', err: error }));
  log.info({ event: 'worker_started', gateway: options.gateway.url, files: store.location });
  return {
    ready: Promise.resolve({}),
    drain: async () => {
      // What is under way goes back to the queue: it is done again from its start.
      tasks.stop();
      const handedBack = worker.close().then(() => queue.close());
      // Where Redis is away nothing can be handed back: others take it once the locks are over.
      await Promise.race([handedBack, delay(HAND_BACK_MS)]);
      await client.close();
      stopMetrics();
      redis.disconnect();
    },
  };
}

/** Does what tasks say. Each may be run again at any time, also by two workers at once: it comes to the same. */
class TaskRunner {
  readonly #stopping = new AbortController();
  readonly #indexes = new LRUCache<string, LineIndex>({ max: INDEXES_KEPT });
  /** For documents under way. */
  readonly #room: Semaphore;

  constructor(
    private readonly flow: Flow,
    private readonly control: JobControl,
    private readonly store: FileStore,
    private readonly sources: Sources,
    private readonly client: GatewayClient,
    private readonly metrics: WorkerMetrics,
    private readonly log: Logger,
  ) {
    setMaxListeners(0, this.#stopping.signal); // Each request listens.
    this.#room = new Semaphore(flow.jobs.concurrency);
  }

  stop(): void {
    this.#stopping.abort();
  }

  async run(bull: BullJob, token?: string): Promise<void> {
    const task = Task.parse(bull.data);
    const started = performance.now();
    try {
      const ms = await this.#untilTurn(task);
      if (ms > 0) await wait(bull, ms, token);
      await this.#do(task, bull.attemptsMade + 1 >= this.flow.jobs.attempts);
      this.metrics.taskDone(task.kind, 'ok', (performance.now() - started) / 1000);
    } catch (thrown) {
      if (thrown instanceof DelayedError) throw thrown;
      const { code, message } = toClipflowError(thrown);
      this.metrics.taskDone(task.kind, 'failed', (performance.now() - started) / 1000);
      if (this.#stopping.signal.aborted) {
        // Given back, without an attempt being lost.
        await bull.moveToWait(token);
        throw new WaitingError();
      }
      this.log.warn({ event: 'task_failed', task: bull.id, attempt: bull.attemptsMade + 1, code, reason: message });
      throw thrown;
    }
  }

  async #do(task: Task, lastAttempt: boolean): Promise<void> {
    if (task.kind === 'tidy') return tidy(this.control, this.store, this.log);
    const job = await this.control.book.job(task.job);
    if (!job) return;
    switch (task.kind) {
      case 'plan':
        return this.#plan(job);
      case 'chunk':
        return this.#chunk(job, task, lastAttempt);
      case 'finish':
        return this.#finish(job);
      case 'expire':
        return this.control.expire(job);
    }
  }

  async #plan({ spec, state }: Job): Promise<void> {
    if (state.status !== 'validating') return;
    try {
      const index = await planJob(spec, this.store, (name) => this.sources.of(name), this.flow.jobs.chunk);
      if (!(await this.control.book.planned(spec.id, index.documents, index.chunks.length))) return;
      this.log.info({ event: 'job_started', job: spec.id, documents: index.documents, chunks: index.chunks.length });
      await this.control.queueFirst(spec, index.chunks.length, state.run);
    } catch (thrown) {
      const { code, message, retryable } = toClipflowError(thrown);
      if (code === 'INTERNAL' || retryable) throw thrown;
      await this.#fail(spec.id, { code: code.toLowerCase(), message, line: null });
      throw new UnrecoverableError(message);
    }
  }

  async #chunk({ spec, state }: Job, { chunk, run }: Task & { kind: 'chunk' }, lastAttempt: boolean): Promise<void> {
    if (!isWanted(state, run)) return;
    const index = await this.#indexOf(spec);
    const format = lineFormat(spec, (name) => this.sources.of(name));
    const common = { spec, index, chunk, store: this.store, format };
    const signal = this.#stopping.signal;
    const requestLines = Math.min(format.linesOfRequest, this.flow.jobs.concurrency);
    try {
      const counts = await runChunk({ ...common, client: this.client, room: this.#room, requestLines, signal });
      await this.#count(spec, counts, chunk, state, run);
    } catch (thrown) {
      const { code, message } = toClipflowError(thrown);
      // The input: what a line names and is not there fails that line alone.
      if (code === 'NOT_FOUND') return this.#fail(spec.id, { code: 'not_found', message, line: null });
      if (lastAttempt && !signal.aborted) {
        const counts = await giveUpChunk(common, toClipflowError(thrown));
        await this.#count(spec, counts, chunk, state, run);
      }
      throw thrown;
    }
  }

  async #count(
    spec: Job['spec'],
    counts: { completed: number; failed: number },
    chunk: number,
    state: Job['state'],
    run: number,
  ): Promise<void> {
    const last = await this.control.book.chunkDone(spec.id, chunk, counts);
    this.metrics.documentsDone(counts);
    if (last) await this.control.queue.finish(spec, run);
    else await this.control.queueNext(spec, chunk, state.chunks, run);
  }

  async #finish(job: Job): Promise<void> {
    const { spec, state } = job;
    const { book } = this.control;
    const expiresAt = Date.now() + this.flow.jobs.retentionMs;
    const end = state.status === 'cancelling' ? 'cancelled' : state.late ? 'expired' : 'completed';
    if (hasEnded(job) && state.status !== 'completed') return;
    if (end === 'completed' && state.chunksDone < state.chunks) return;
    if (state.lines !== undefined) {
      if (end === 'completed') await book.move(spec.id, ['in_progress', 'completed'], 'finalizing');
      const index = await this.#indexOf(spec);
      const format = lineFormat(spec, (name) => this.sources.of(name));
      const files = await joinParts({ job, index, store: this.store, book, format, expiresAt });
      await book.move(spec.id, [state.status, 'finalizing'], end, { outputFileId: '', errorFileId: '', ...files });
    } else {
      await book.move(spec.id, [state.status], end);
    }
    await book.ended(spec, expiresAt);
    await this.control.queue.ended(spec);
    this.log.info({ event: 'job_ended', job: spec.id, status: end, completed: state.completed, failed: state.failed });
  }

  async #fail(id: string, error: JobError): Promise<void> {
    const { book } = this.control;
    await book.move(id, ['validating', 'in_progress'], 'failed', { errors: JSON.stringify([error]) });
    const job = await book.job(id);
    if (job) await book.ended(job.spec, Date.now() + this.flow.jobs.retentionMs);
    this.log.warn({ event: 'job_failed', job: id, ...error });
  }

  /** Takes the turn of a chunk, once, where the rate of its owner is limited: milliseconds until then. */
  async #untilTurn(task: Task): Promise<number> {
    const { rate } = this.flow.jobs;
    if (rate === undefined || task.kind !== 'chunk' || task.turn) return 0;
    const job = await this.control.book.job(task.job);
    if (!job || !isWanted(job.state, task.run)) return 0;
    return this.control.book.turn(job.spec.owner, documentsOf(await this.#indexOf(job.spec), task.chunk), rate);
  }

  async #indexOf(spec: Job['spec']): Promise<LineIndex> {
    const known = this.#indexes.get(spec.id);
    if (known) return known;
    const index = await readIndex(spec, this.store);
    this.#indexes.set(spec.id, index);
    return index;
  }
}

function isWanted({ status, paused, run }: Job['state'], runOfTask: number): boolean {
  return (status === 'in_progress' || status === 'completed') && !paused && run === runOfTask;
}

/** Puts a task back until its turn: tasks of other owners go on meanwhile. */
async function wait(bull: BullJob, ms: number, token: string | undefined): Promise<never> {
  await bull.updateData({ ...(bull.data as Task), turn: true });
  await bull.moveToDelayed(Date.now() + ms, token);
  throw new DelayedError();
}
