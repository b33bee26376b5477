import { z } from 'zod';

/** OpenAI's states of a batch; `validating` means that its input has not been read through yet. */
export const STATUSES = [
  'validating',
  'in_progress',
  'finalizing',
  'completed',
  'failed',
  'expired',
  'cancelling',
  'cancelled',
] as const;
export type JobStatus = (typeof STATUSES)[number];

/** States that a job does not leave by itself. */
export const ENDED: readonly JobStatus[] = ['completed', 'failed', 'expired', 'cancelled'];

/** The routes of the gateway that the lines of a batch may ask. */
export const BATCH_ENDPOINTS = ['/v1/embeddings', '/v1/rerank', '/v1/classify'] as const;

export const PRIORITIES = ['high', 'normal', 'low'] as const;
export type JobPriority = (typeof PRIORITIES)[number];

/** What was asked: written once, when the job is made. */
export const JobSpec = z.object({
  id: z.string(),
  /** `batch`: lines are requests, as OpenAI's Batch API has them. `embed`: lines are documents. */
  kind: z.enum(['batch', 'embed']),
  /** Name of the caller whose job it is. */
  owner: z.string(),
  endpoint: z.enum(BATCH_ENDPOINTS),
  /** Key of the input in the file store: a JSON object on each line. */
  input: z.string(),
  inputFileId: z.string().optional(),
  /** Images of this source whose keys start with `prefix` are the documents; `input` is listed from it. */
  source: z.object({ name: z.string(), prefix: z.string() }).optional(),
  /** Laid under each request of an `embed` job. */
  parameters: z.record(z.string(), z.unknown()),
  /** `jsonl`: an object for each line. `npy`: float32 (documents, dimension), NaN where one failed. */
  output: z.enum(['jsonl', 'npy']),
  priority: z.enum(PRIORITIES),
  metadata: z.record(z.string(), z.string()).nullable(),
  completionWindow: z.string(),
  /** Milliseconds since the epoch. */
  createdAt: z.number(),
  expiresAt: z.number(),
});
export type JobSpec = z.output<typeof JobSpec>;

/** Why a job failed as a whole. */
export const JobError = z.object({ code: z.string(), message: z.string(), line: z.number().nullable() });
export type JobError = z.output<typeof JobError>;

/** How far a job has come. */
export interface JobState {
  status: JobStatus;
  paused: boolean;
  /** Its completion window was over before it was done. */
  late: boolean;
  /** Grows whenever its tasks are queued anew: tasks of an earlier run are dropped. */
  run: number;
  /** Undefined until the input has been read through. */
  lines: number | undefined;
  chunks: number;
  chunksDone: number;
  /** Lines that were answered, and lines that were given up. */
  completed: number;
  failed: number;
  errors: JobError[];
  outputFileId: string | undefined;
  errorFileId: string | undefined;
  /** When it entered each state: milliseconds since the epoch. */
  at: Partial<Record<JobStatus, number>>;
}

export interface Job {
  spec: JobSpec;
  state: JobState;
}

/** A file that a caller uploaded or that a job made. */
export const FileRecord = z.object({
  id: z.string(),
  owner: z.string(),
  filename: z.string(),
  purpose: z.string(),
  bytes: z.number(),
  createdAt: z.number(),
  expiresAt: z.number(),
});
export type FileRecord = z.output<typeof FileRecord>;

/** Where the file store keeps what belongs to jobs. */
export const keys = {
  file: (id: string): string => `files/${id}`,
  /** Everything of a job but its output. */
  job: (id: string): string => `jobs/${id}`,
  input: (id: string): string => `jobs/${id}/input.jsonl`,
  index: (id: string): string => `jobs/${id}/index.json`,
  part: (id: string, chunk: number, kind: 'out' | 'err'): string =>
    `jobs/${id}/parts/${String(chunk).padStart(8, '0')}.${kind}`,
};
