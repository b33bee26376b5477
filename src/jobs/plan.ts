import { json } from 'node:stream/consumers';
import { ClipflowError } from '../errors.js';
import { keys, type JobSpec } from './job.js';
import { indexLines, LineIndex } from './lines.js';
import type { FileStore } from './store/file-store.js';

/** Reads the input of a job through, and keeps where its chunks start. @throws INVALID_REQUEST when it is empty */
export async function planJob(
  spec: JobSpec,
  store: FileStore,
  sources: (name: string) => FileStore,
  chunkLines: number,
): Promise<LineIndex> {
  if (spec.source) await store.write(spec.input, listing(sources(spec.source.name), spec.source.prefix));
  const index = await indexLines(await store.read(spec.input), chunkLines);
  if (index.documents === 0) throw new ClipflowError('INVALID_REQUEST', 'the input has no documents');
  await store.write(keys.index(spec.id), text(JSON.stringify(index)));
  return index;
}

export async function readIndex(spec: JobSpec, store: FileStore): Promise<LineIndex> {
  return LineIndex.parse(await json(await store.read(keys.index(spec.id))));
}

/** An image for each file, by its key. */
async function* listing(source: FileStore, prefix: string): AsyncGenerator<Uint8Array> {
  for await (const { key } of source.list(prefix)) {
    yield Buffer.from(`${JSON.stringify({ id: key, key })}\n`);
  }
}

async function* text(content: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(content);
}
