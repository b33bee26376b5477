import { documentsOf, type BacklogReader } from './jobs/backlog-reader.js';
import type { LoadBoard } from './load-board.js';

/** Where the signals to scale by come from. */
export interface LoadSources {
  loads: Pick<LoadBoard, 'totals'>;
  /** Undefined where the flow serves no jobs. */
  jobs: { backlog: Pick<BacklogReader, 'read'> } | undefined;
}

/**
 * What there is to do, as JSON, for scalers that ask a URL (KEDA's `metrics-api`): for all gateways together.
 * `bulk` is null where there are no jobs, or nobody knows of them now, so that executors can be scaled all the same.
 */
export async function loadJson({ loads, jobs }: LoadSources): Promise<object> {
  const executors = loads.totals().map(({ executor, queued, running, queueAge, busy }) => {
    return [executor, { queued, running, ongoing: queued + running, queue_age_seconds: queueAge, busy }] as const;
  });
  const backlog = await jobs?.backlog.read().catch(() => undefined);
  const bulk = backlog && {
    jobs: backlog.jobs,
    queued_tasks: backlog.queuedTasks,
    active_tasks: backlog.activeTasks,
    queued_documents: backlog.queuedDocuments,
    active_documents: backlog.activeDocuments,
    documents: documentsOf(backlog),
    oldest_seconds: backlog.oldestSeconds,
  };
  return { executors: Object.fromEntries(executors), bulk: bulk ?? null };
}
