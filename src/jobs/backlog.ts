import type { Job } from './job.js';
import type { JobControl } from './job-control.js';
import { Task } from './task-queue.js';

/** What bulk work there is to do: a signal to scale workers and executors by. Paused jobs do not count. */
export interface Backlog {
  /** Jobs that are not done. */
  jobs: number;
  /** Tasks in BullMQ's queue. A long job has only its next ones there: documents tell how much is left. */
  queuedTasks: number;
  activeTasks: number;
  /** Documents that no worker has taken up. Those of a job whose input is still read through are not known yet. */
  queuedDocuments: number;
  /** Documents at most that workers have in hand: what is done of a chunk counts when all of it is. */
  activeDocuments: number;
  /** How long ago the oldest of the jobs was made; 0 when there is none. */
  oldestSeconds: number;
}

/** @param chunk documents of a task */
export async function readBacklog({ book, queue }: JobControl, chunk: number): Promise<Backlog> {
  const open = await Promise.all((await book.open()).map((id) => book.job(id)));
  const jobs = open.filter((job) => job !== undefined).filter((job) => !rests(job));
  const { wait = 0, prioritized = 0, active = 0 } = await queue.bull.getJobCounts('wait', 'prioritized', 'active');
  const running = active === 0 ? [] : await queue.bull.getActive();
  const chunks = running.filter(({ data }) => Task.safeParse(data).data?.kind === 'chunk').length;
  const left = jobs.reduce((sum, job) => sum + documentsLeft(job), 0);
  const activeDocuments = Math.min(left, chunks * chunk);
  const oldest = Math.min(...jobs.map(({ spec }) => spec.createdAt));
  return {
    jobs: jobs.length,
    queuedTasks: wait + prioritized,
    activeTasks: active,
    queuedDocuments: left - activeDocuments,
    activeDocuments,
    oldestSeconds: jobs.length === 0 ? 0 : Math.max(0, Date.now() - oldest) / 1000,
  };
}

function rests({ state }: Job): boolean {
  return state.paused && state.status === 'in_progress';
}

function documentsLeft({ state }: Job): number {
  if (state.status !== 'in_progress') return 0;
  return Math.max(0, (state.lines ?? 0) - state.completed - state.failed);
}
