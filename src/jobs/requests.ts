import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { z } from 'zod';
import { ClipflowError, toClipflowError } from '../errors.js';
import { errorOf, type GatewayAnswer } from './gateway-client.js';
import { BATCH_ENDPOINTS, type JobSpec } from './job.js';
import type { Line } from './lines.js';
import type { FileStore } from './store/file-store.js';

/** A request to the gateway. */
export interface LineRequest {
  path: string;
  /** JSON. */
  body: string;
}

/** What became of a line: the text of its line in the output or in the error file. */
export interface LineResult {
  failed: boolean;
  /** JSON, without the newline. */
  text: string;
  /** Of an `embed` job. */
  embedding?: Float32Array;
}

/** How the lines of a kind of job are asked and answered. */
export interface LineFormat {
  /** @throws ClipflowError when the line is none of this kind */
  request(line: Line): Promise<LineRequest>;
  answered(line: Line, answer: GatewayAnswer): LineResult;
  /** There is no answer: the line is wrong, or was given up. */
  failed(line: Line, error: ClipflowError): LineResult;
}

export function lineFormat(spec: JobSpec, sources: (name: string) => FileStore): LineFormat {
  return spec.kind === 'batch' ? new BatchFormat(spec) : new EmbedFormat(spec, sources);
}

/** A line of OpenAI's Batch API: platform.openai.com/docs/api-reference/batch/request-input. */
const BatchLine = z.object({
  custom_id: z.string(),
  method: z.literal('POST').default('POST'),
  url: z.enum(BATCH_ENDPOINTS),
  body: z.record(z.string(), z.unknown()),
});

class BatchFormat implements LineFormat {
  constructor(private readonly spec: JobSpec) {}

  async request(line: Line): Promise<LineRequest> {
    const { url, body } = parse(BatchLine, line);
    if (url === this.spec.endpoint) return { path: url, body: JSON.stringify(body) };
    throw new ClipflowError(
      'INVALID_REQUEST',
      `line ${line.line}: url is ${url}, but this batch is for ${this.spec.endpoint}`,
    );
  }

  answered(line: Line, { status, requestId, body }: GatewayAnswer): LineResult {
    // The gateway's body is JSON already: it is not parsed, only to be written again. A proxy's page need not be.
    const json = status < 400 || isJson(body) ? body : JSON.stringify({ error: errorOf(body) });
    const response = `{"status_code":${status},"request_id":${JSON.stringify(requestId)},"body":${json}}`;
    return { failed: status >= 400, text: this.#text(line, response, null) };
  }

  failed(line: Line, { code, message }: ClipflowError): LineResult {
    return { failed: true, text: this.#text(line, 'null', { code: code.toLowerCase(), message, line: line.line }) };
  }

  #text(line: Line, response: string, error: unknown): string {
    const id = JSON.stringify(`batch_req_${randomUUID().replaceAll('-', '')}`);
    return `{"id":${id},"custom_id":${JSON.stringify(customId(line))},"response":${response},"error":${JSON.stringify(error)}}`;
  }
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object' && !text.includes('\n');
  } catch {
    return false;
  }
}

function customId({ text }: Line): string | null {
  try {
    const { custom_id: id } = JSON.parse(text) as { custom_id?: unknown };
    return typeof id === 'string' ? id : null;
  } catch {
    return null;
  }
}

/** A document of an `embed` job, one of: a text, an image (url, data uri or base64), an image of the job's source. */
const EmbedLine = z.union([
  z.object({ id: z.string().optional(), text: z.string() }),
  z.object({ id: z.string().optional(), image: z.string() }),
  z.object({ id: z.string().optional(), key: z.string() }),
]);

const Embeddings = z.object({ data: z.tuple([z.object({ embedding: z.string() })]) });

class EmbedFormat implements LineFormat {
  constructor(
    private readonly spec: JobSpec,
    private readonly sources: (name: string) => FileStore,
  ) {}

  async request(line: Line): Promise<LineRequest> {
    const document = parse(EmbedLine, line);
    const content = 'key' in document ? { image: await this.#read(document.key) } : document;
    const body = { ...this.spec.parameters, input: [content], encoding_format: 'base64' };
    return { path: this.spec.endpoint, body: JSON.stringify(body) };
  }

  answered(line: Line, { status, body }: GatewayAnswer): LineResult {
    if (status >= 400) return this.#failed(line, errorOf(body));
    const bytes = Buffer.from(Embeddings.parse(JSON.parse(body)).data[0].embedding, 'base64');
    const embedding = new Float32Array(new Uint8Array(bytes).buffer);
    const text = JSON.stringify({ index: line.index, ...idOf(line), embedding: Array.from(embedding) });
    return { failed: false, text, embedding };
  }

  failed(line: Line, { code, message }: ClipflowError): LineResult {
    return this.#failed(line, { code: code.toLowerCase(), message });
  }

  #failed(line: Line, error: { code: string; message: string }): LineResult {
    return { failed: true, text: JSON.stringify({ index: line.index, line: line.line, ...idOf(line), error }) };
  }

  async #read(key: string): Promise<string> {
    const { source } = this.spec;
    if (source === undefined) throw new ClipflowError('INVALID_REQUEST', `"key" ${key}: this job has no source`);
    // Whatever the name says, it is read as the image that its bytes are.
    const bytes = await buffer(await this.sources(source.name).read(key));
    return `data:application/octet-stream;base64,${bytes.toString('base64')}`;
  }
}

function idOf({ text }: Line): { id?: string } {
  try {
    const { id } = JSON.parse(text) as { id?: unknown };
    return typeof id === 'string' ? { id } : {};
  } catch {
    return {};
  }
}

/** @throws INVALID_REQUEST that names the line */
function parse<T>(schema: z.ZodType<T>, { line, text }: Line): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ClipflowError('INVALID_REQUEST', `line ${line} is no JSON: ${toClipflowError(error).message}`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue?.path.length ? `, ${issue.path.join('.')}` : '';
  throw new ClipflowError('INVALID_REQUEST', `line ${line}${where}: ${issue?.message ?? 'is malformed'}`);
}
