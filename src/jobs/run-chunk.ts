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
  format: LineFormat;
  signal: AbortSignal;
}

/**
 * Embeds the documents of a chunk and writes its parts: the same parts, however often it is run.
 * @throws UNAVAILABLE when the gateway does not serve: nothing is written
 */
export async function runChunk(run: ChunkRun): Promise<{ completed: number; failed: number }> {
  const { spec, index, chunk, store } = run;
  const lines = await readChunk(store, spec.input, index, chunk);
  const results = await Promise.all(lines.map((line) => runLine(run, line)));
  return writeParts(run, results);
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

async function runLine({ spec, client, format, signal }: ChunkRun, line: Line): Promise<LineResult> {
  let request;
  try {
    request = await format.request(line);
  } catch (thrown) {
    const error = toClipflowError(thrown);
    if (error.retryable) throw error; // The source of the images is away: no fault of the line.
    return format.failed(line, error);
  }
  return format.answered(line, await client.post(request.path, request.body, spec.owner, signal));
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
