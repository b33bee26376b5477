import type { Semaphore } from 'async-mutex';
import { toClipflowError, type ClipflowError } from '../errors.js';
import type { GatewayClient } from './gateway-client.js';
import { keys, type JobSpec } from './job.js';
import { readChunk, type Line, type LineIndex } from './lines.js';
import type { LineFormat, LineResult } from './requests.js';
import type { FileStore } from './store/file-store.js';

export interface ChunkRun {
  spec: JobSpec;
  index: LineIndex;
  chunk: number;
  store: FileStore;
  client: GatewayClient;
  /** For lines under way, of all chunks of the worker. */
  room: Semaphore;
  /** Lines of one request at most; there is room for so many. */
  requestLines: number;
  format: LineFormat;
  signal: AbortSignal;
}

/** A larger body would hold up other callers of the gateway while it is read. */
const REQUEST_CHARACTERS = 2 ** 20;

/**
 * Embeds the documents of a chunk and writes its parts: the same parts, however often it is run.
 * @throws UNAVAILABLE when the gateway does not serve: nothing is written
 */
export async function runChunk(run: ChunkRun): Promise<{ completed: number; failed: number }> {
  const { spec, index, chunk, store, room } = run;
  const lines = await readChunk(store, spec.input, index, chunk);
  const groups = cut(lines, (group) => group.length < run.requestLines);
  const results = await Promise.all(groups.map((group) => room.runExclusive(() => runGroup(run, group), group.length)));
  return writeParts(run, results.flat());
}

/** Gives the documents of a chunk up, all for the same reason. */
export async function giveUpChunk(
  run: Pick<ChunkRun, 'spec' | 'index' | 'chunk' | 'store' | 'format'>,
  error: ClipflowError,
): Promise<{ completed: number; failed: number }> {
  const lines = await readChunk(run.store, run.spec.input, run.index, run.chunk);
  return writeParts(
    run,
    lines.map((line) => run.format.failed(line, error)),
  );
}

interface Asked {
  line: Line;
  /** JSON. */
  content: string;
}

/** Lines that share a request, or several where their contents are large. */
async function runGroup(run: ChunkRun, lines: readonly Line[]): Promise<LineResult[]> {
  const prepared = await Promise.all(lines.map((line) => prepare(run.format, line)));
  const asked = prepared.filter(isAsked);
  const length = (request: readonly Asked[]): number => request.reduce((sum, { content }) => sum + content.length, 0);
  const requests = cut(asked, (request, { content }) => length(request) + content.length <= REQUEST_CHARACTERS);
  const results = (await Promise.all(requests.map((request) => ask(run, request)))).flat().values();
  return prepared.map((one) => {
    const result = isAsked(one) ? results.next().value : one;
    if (!result) throw new Error('a line is without an answer');
    return result;
  });
}

async function ask({ spec, client, format, signal }: ChunkRun, request: readonly Asked[]): Promise<LineResult[]> {
  const body = format.body(request.map(({ content }) => content));
  const answer = await client.post(spec.endpoint, body, spec.owner, signal);
  return format.answered(
    request.map(({ line }) => line),
    answer,
  );
}

function isAsked(one: Asked | LineResult): one is Asked {
  return 'content' in one;
}

/** Cuts a list into groups: each takes what comes next as long as that fits, and one in any case. */
function cut<T>(all: readonly T[], fits: (group: readonly T[], next: T) => boolean): T[][] {
  const groups: T[][] = [];
  for (const one of all) {
    const group = groups.at(-1);
    if (group && fits(group, one)) group.push(one);
    else groups.push([one]);
  }
  return groups;
}

/** What a line asks for, or that it is none. */
async function prepare(format: LineFormat, line: Line): Promise<Asked | LineResult> {
  try {
    return { line, content: await format.content(line) };
  } catch (thrown) {
    const error = toClipflowError(thrown);
    if (error.retryable) throw error; // The source of the images is away: no fault of the line.
    return format.failed(line, error);
  }
}

async function writeParts(
  { spec, chunk, store }: Pick<ChunkRun, 'spec' | 'chunk' | 'store'>,
  results: readonly LineResult[],
): Promise<{ completed: number; failed: number }> {
  const bad = results.filter(({ failed }) => failed);
  const good = results.filter(({ failed }) => !failed);
  await store.write(keys.part(spec.id, chunk, 'err'), pieces(textOf(bad)));
  await store.write(keys.part(spec.id, chunk, 'out'), pieces(spec.output === 'npy' ? rowsOf(results) : textOf(good)));
  return { completed: good.length, failed: bad.length };
}

function textOf(results: readonly LineResult[]): Buffer {
  return Buffer.from(results.map(({ text }) => `${text}\n`).join(''));
}

/** Rows of float32, NaN for what failed; none at all when everything did, as the dimension is not known then. */
function rowsOf(results: readonly LineResult[]): Buffer {
  const dimension = results.find(({ embedding }) => embedding)?.embedding?.length ?? 0;
  const rows = new Float32Array(results.length * dimension).fill(NaN);
  results.forEach(({ embedding }, row) => embedding && rows.set(embedding, row * dimension));
  return Buffer.from(rows.buffer);
}

async function* pieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
