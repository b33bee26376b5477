import type { FileRecord, Job, JobStatus } from '../../src/jobs/job.js';

/** OpenAI's file object. */
export function fileObject({ id, bytes, createdAt, expiresAt, filename, purpose }: FileRecord) {
  return {
    id,
    object: 'file',
    bytes,
    created_at: seconds(createdAt),
    expires_at: seconds(expiresAt),
    filename,
    purpose,
    status: 'processed',
  };
}

/** OpenAI's batch object. */
export function batchObject({ spec, state }: Job) {
  const at = (status: JobStatus): number | null => seconds(state.at[status]) ?? null;
  return {
    id: spec.id,
    object: 'batch',
    endpoint: spec.endpoint,
    errors: errorList({ spec, state }),
    input_file_id: spec.inputFileId ?? null,
    completion_window: spec.completionWindow,
    status: state.status,
    output_file_id: state.outputFileId ?? null,
    error_file_id: state.errorFileId ?? null,
    created_at: seconds(spec.createdAt),
    in_progress_at: at('in_progress'),
    expires_at: seconds(spec.expiresAt),
    finalizing_at: at('finalizing'),
    completed_at: at('completed'),
    failed_at: at('failed'),
    expired_at: at('expired'),
    cancelling_at: at('cancelling'),
    cancelled_at: at('cancelled'),
    request_counts: { total: state.lines ?? 0, completed: state.completed, failed: state.failed },
    metadata: spec.metadata,
  };
}

/** A job of our own: a batch's too, with what OpenAI's object has no place for. */
export function jobObject(job: Job) {
  const { spec, state } = job;
  return {
    id: spec.id,
    object: 'job',
    kind: spec.kind,
    status: state.status,
    paused: state.paused,
    priority: spec.priority,
    output: spec.output,
    progress: progressOf(job),
    errors: errorList(job),
    output_file_id: state.outputFileId ?? null,
    error_file_id: state.errorFileId ?? null,
    created_at: seconds(spec.createdAt),
    expires_at: seconds(spec.expiresAt),
    metadata: spec.metadata,
  };
}

function progressOf({ state }: Job) {
  const { lines: total, completed, failed, at } = state;
  const done = completed + failed;
  const since = at.in_progress;
  const until = at.finalizing ?? at.completed ?? at.cancelling ?? Date.now();
  const rate = since === undefined || until <= since ? 0 : (done * 1000) / (until - since);
  return {
    total: total ?? null,
    completed,
    failed,
    percent: total === undefined ? 0 : Math.round((1000 * done) / Math.max(1, total)) / 10,
    documents_per_second: Math.round(10 * rate) / 10,
    seconds_left: total !== undefined && rate > 0 ? Math.round((total - done) / rate) : null,
  };
}

function errorList({ state: { errors } }: Job) {
  if (errors.length === 0) return null;
  return { object: 'list', data: errors.map(({ code, message, line }) => ({ code, message, param: null, line })) };
}

/** A page of OpenAI's lists. */
export function listObject<T extends { id: string }>(items: readonly T[], limit: number) {
  const data = items.slice(0, limit);
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: items.length > limit,
  };
}

function seconds(ms: number): number;
function seconds(ms: number | undefined): number | undefined;
function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.floor(ms / 1000);
}
