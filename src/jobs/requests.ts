import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { z } from 'zod';
import { ClipflowError, toClipflowError } from '../errors.js';
import { errorOf, GatewayError, type GatewayAnswer } from './gateway-client.js';
import { BATCH_ENDPOINTS, type JobSpec } from './job.js';
import type { Line } from './lines.js';
import type { FileStore } from './store/file-store.js';

/** What became of a line. */
export interface LineResult {
  failed: boolean;
  /** JSON, without the newline: its line in the output or in the error file. Empty for what the output has as a row. */
  text: string;
  /** Its row, where the output is `npy`. */
  embedding?: Float32Array;
}

/** How the lines of a kind of job are asked and answered. */
export interface LineFormat {
  /** Lines that may share a request. */
  readonly linesOfRequest: number;
  /**
   * What a line asks for, as JSON.
   * @throws ClipflowError when the line is none of this kind
   */
  content(line: Line): Promise<string>;
  /** JSON of a request for as many contents as there are. */
  body(contents: readonly string[]): string;
  /** In the order of the lines. */
  answered(lines: readonly Line[], answer: GatewayAnswer): LineResult[];
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
  readonly linesOfRequest = 1;

  constructor(private readonly spec: JobSpec) {}

  async content(line: Line): Promise<string> {
    const { url, body } = parse(BatchLine, line);
    if (url === this.spec.endpoint) return JSON.stringify(body);
    throw new ClipflowError(
      'INVALID_REQUEST',
      `line ${line.line}: url is ${url}, but this batch is for ${this.spec.endpoint}`,
    );
  }

  body(contents: readonly string[]): string {
    return contents.join();
  }

  answered(lines: readonly Line[], { status, requestId, body }: GatewayAnswer): LineResult[] {
    // The gateway's body is JSON already: it is not parsed, only to be written again. A proxy's page need not be.
    const json = status < 400 || isJson(body) ? body : JSON.stringify({ error: errorOf(body) });
    const response = `{"status_code":${status},"request_id":${JSON.stringify(requestId)},"body":${json}}`;
    return lines.map((line) => ({ failed: status >= 400, text: this.#text(line, response, null) }));
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

/** An answer of /v1/embeddings where a bad input fails alone. */
const Embeddings = z.object({
  data: z.array(z.union([z.object({ embedding: z.string() }), z.object({ error: GatewayError })])),
});
type Embedded = z.output<typeof Embeddings>['data'][number];

/** More would not make it cheaper, but those behind them in the gateway wait longer. */
const DOCUMENTS_OF_REQUEST = 16;

class EmbedFormat implements LineFormat {
  readonly linesOfRequest = DOCUMENTS_OF_REQUEST;

  constructor(
    private readonly spec: JobSpec,
    private readonly sources: (name: string) => FileStore,
  ) {}

  async content(line: Line): Promise<string> {
    const document = parse(EmbedLine, line);
    return JSON.stringify('key' in document ? { image: await this.#read(document.key) } : document);
  }

  body(contents: readonly string[]): string {
    const rest = JSON.stringify({ ...this.spec.parameters, encoding_format: 'base64', partial: true });
    return `{"input":[${contents.join()}],${rest.slice(1)}`;
  }

  answered(lines: readonly Line[], { status, body }: GatewayAnswer): LineResult[] {
    if (status >= 400) return lines.map((line) => this.#failed(line, errorOf(body)));
    const { data } = Embeddings.parse(JSON.parse(body));
    return lines.map((line, place) => {
      const answer = data[place];
      if (!answer) throw new Error(`the gateway answered ${data.length} of ${lines.length} documents`);
      return this.#answered(line, answer);
    });
  }

  failed(line: Line, { code, message }: ClipflowError): LineResult {
    return this.#failed(line, { code: code.toLowerCase(), message });
  }

  #answered(line: Line, answer: Embedded): LineResult {
    if ('error' in answer) return this.#failed(line, answer.error);
    const bytes = Buffer.from(answer.embedding, 'base64');
    const embedding = new Float32Array(new Uint8Array(bytes).buffer);
    if (this.spec.output === 'npy') return { failed: false, text: '', embedding };
    const text = JSON.stringify({ index: line.index, ...idOf(line), embedding: Array.from(embedding) });
    return { failed: false, text };
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
