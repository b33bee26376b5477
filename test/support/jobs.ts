import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { FlowProcess } from './flow-process.js';
import { RedisServer } from './redis-server.js';
import { within } from './until.js';

const JobObject = z.object({
  id: z.string(),
  status: z.string(),
  paused: z.boolean(),
  progress: z.object({
    total: z.number().nullable(),
    completed: z.number(),
    failed: z.number(),
    percent: z.number(),
  }),
  errors: z.object({ data: z.array(z.object({ code: z.string(), message: z.string() })) }).nullable(),
  output_file_id: z.string().nullable(),
  error_file_id: z.string().nullable(),
});
export type JobObject = z.output<typeof JobObject>;

const ENDED = ['completed', 'failed', 'expired', 'cancelled'];
const LOOK_MS = 50;
const LIMIT_MS = 60_000;

/** /v1/jobs, /v1/batches and /v1/files as a caller without a library uses them. */
export class JobsClient {
  constructor(
    private readonly url: () => string,
    private readonly headers: Record<string, string> = {},
  ) {}

  async request(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.url()}/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...this.headers, ...headers },
      ...(body !== undefined && { body: body instanceof FormData ? body : JSON.stringify(body) }),
    });
  }

  async json<T>(path: string, body?: unknown): Promise<T> {
    const response = await this.request(path, body);
    if (!response.ok) throw new Error(`${path} is answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as T;
  }

  async start(body: unknown): Promise<string> {
    return (await this.json<{ id: string }>('/jobs', body)).id;
  }

  async upload(lines: string, name = 'input.jsonl'): Promise<string> {
    const form = new FormData();
    form.set('purpose', 'batch');
    form.set('file', new Blob([lines]), name);
    return (await this.json<{ id: string }>('/files', form)).id;
  }

  async startBatch(inputFileId: string, settings: Record<string, unknown> = {}): Promise<string> {
    const body = { input_file_id: inputFileId, endpoint: '/v1/embeddings', completion_window: '24h', ...settings };
    return (await this.json<{ id: string }>('/batches', body)).id;
  }

  async job(id: string): Promise<JobObject> {
    return JobObject.parse(await this.json(`/jobs/${id}`));
  }

  async act(id: string, action: string): Promise<JobObject> {
    return JobObject.parse(await this.json(`/jobs/${id}/${action}`, {}));
  }

  /** Looks until `wanted` holds; a gateway that is away is asked again. */
  async until(id: string, wanted: (job: JobObject) => boolean, limitMs = LIMIT_MS): Promise<JobObject> {
    let last: unknown;
    const look = async (): Promise<JobObject> => {
      for (;;) {
        try {
          const job = await this.job(id);
          last = job;
          if (wanted(job)) return job;
        } catch (error) {
          last = error;
        }
        await delay(LOOK_MS);
      }
    };
    return within(look(), `job ${id}`, limitMs).catch((error: unknown) => {
      throw new Error(`the job came only so far: ${JSON.stringify(last)}`, { cause: error });
    });
  }

  /** With its output files written, which may take a moment after its state. */
  async ended(id: string, limitMs?: number): Promise<JobObject> {
    return this.until(id, ({ status }) => ENDED.includes(status), limitMs);
  }

  async content(fileId: string | null): Promise<string> {
    if (fileId === null) return '';
    const response = await this.request(`/files/${fileId}/content`);
    if (!response.ok) throw new Error(`${fileId}: ${response.status}`);
    return response.text();
  }

  async lines<T>(fileId: string | null): Promise<T[]> {
    const text = await this.content(fileId);
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as T]));
  }
}

/** A flow with bulk jobs in YAML. */
export function jobsFlow(redis: string, files: string, jobs: Record<string, unknown> = {}, replicas = 1): string {
  return JSON.stringify({
    jtype: 'Flow',
    with: { redis, jobs: { files, ...jobs } },
    executors: [
      { name: 'clip', uses: 'CLIPEncoder', uses_with: { model_path: 'models/tiny-clip', device: 'cpu' }, replicas },
    ],
  });
}

/** Different texts. */
export function documents(count: number): { id: string; text: string }[] {
  return Array.from({ length: count }, (_, i) => ({ id: `d${i}`, text: `a red circle ${i}` }));
}

/** Documents of a job that have an answer or an error. */
export function done({ progress: { completed, failed } }: JobObject): number {
  return completed + failed;
}

/** What a flow is started with; files may lie in the folder. */
type Settings = (folder: string) => { jobs: Record<string, unknown>; env?: Record<string, string> };

/** A flow with bulk jobs that has a Redis and a folder of its own. */
export class ServedJobs implements AsyncDisposable {
  /** Of a caller without a token. */
  readonly client = this.clientWith();

  private constructor(
    readonly folder: string,
    readonly redis: RedisServer,
    readonly flow: FlowProcess,
  ) {}

  static async start(settings: Settings): Promise<ServedJobs> {
    const folder = mkdtempSync(join(tmpdir(), 'clipflow-jobs-'));
    let redis: RedisServer | undefined;
    try {
      redis = await RedisServer.start();
      const { jobs, ...options } = settings(folder);
      const flow = await FlowProcess.start({ text: jobsFlow(redis.url, join(folder, 'files'), jobs), ...options });
      return new ServedJobs(folder, redis, flow);
    } catch (error) {
      await remove(folder, redis);
      throw error;
    }
  }

  clientWith(headers: Record<string, string> = {}): JobsClient {
    return new JobsClient(() => this.flow.url, headers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.flow.stop();
    } finally {
      await remove(this.folder, this.redis);
    }
  }
}

async function remove(folder: string, redis?: RedisServer): Promise<void> {
  await redis?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}
