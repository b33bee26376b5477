import type { Readable } from 'node:stream';
import { ClipflowError } from '../errors.js';
import { keys, type FileRecord, type Job } from './job.js';
import type { JobBook } from './job-book.js';
import { documentsOf, readChunk, type LineIndex } from './lines.js';
import { npyHeader } from './npy.js';
import type { LineFormat } from './requests.js';
import type { FileStore } from './store/file-store.js';

export interface Finish {
  job: Job;
  index: LineIndex;
  store: FileStore;
  book: JobBook;
  format: LineFormat;
  expiresAt: number;
}

/** Parts that are opened ahead of the one that is read. */
const AHEAD = 8;

/** Joins the parts of the chunks, in the order of the input. What was not done in time stands in the error file. */
export async function joinParts(finish: Finish): Promise<{ outputFileId?: string; errorFileId?: string }> {
  const { job, store, book } = finish;
  const { id, owner, output } = job.spec;
  const done = await book.chunks(id);
  const file = async (kind: 'output' | 'error', name: string, content: AsyncIterable<Uint8Array>): Promise<string> => {
    // The same id however often it is finished: it is written anew when a chunk was done again.
    const fileId = `file-${id}-${kind}`;
    const bytes = await store.write(keys.file(fileId), content);
    const { expiresAt } = finish;
    const purpose = kind === 'output' ? 'batch_output' : 'batch_error';
    const record: FileRecord = { id: fileId, owner, filename: name, purpose, bytes, createdAt: Date.now(), expiresAt };
    await book.putFile(record);
    return fileId;
  };
  const [completed, failed] = [...done.values()].reduce(
    ([good, bad], counts) => [good + counts.completed, bad + counts.failed],
    [0, 0],
  );
  const { late } = job.state;
  return {
    ...(completed > 0 && {
      outputFileId: await file(
        'output',
        `${id}_output.${output}`,
        output === 'npy' ? matrix(finish, done) : text(finish, done),
      ),
    }),
    ...((failed > 0 || late) && {
      errorFileId: await file('error', `${id}_error.jsonl`, errors(finish, done, late)),
    }),
  };
}

async function* text({ job, index, store }: Finish, done: ReadonlyMap<number, unknown>): AsyncGenerator<Uint8Array> {
  const chunks = [...index.chunks.keys()].filter((chunk) => done.has(chunk));
  for await (const part of inOrder(chunks, (chunk) => store.read(keys.part(job.spec.id, chunk, 'out')))) {
    yield* part as AsyncIterable<Uint8Array>;
  }
}

async function* errors(
  { job, index, store, format }: Finish,
  done: ReadonlyMap<number, { failed: number }>,
  late: boolean,
): AsyncGenerator<Uint8Array> {
  const expired = new ClipflowError('DEADLINE_EXCEEDED', 'the completion window was over before its turn came');
  for (const chunk of index.chunks.keys()) {
    const counts = done.get(chunk);
    if (counts && counts.failed > 0)
      yield* (await store.read(keys.part(job.spec.id, chunk, 'err'))) as AsyncIterable<Uint8Array>;
    if (counts || !late) continue;
    for (const line of await readChunk(store, job.spec.input, index, chunk)) {
      yield Buffer.from(`${format.failed(line, expired).text}\n`);
    }
  }
}

/** A NumPy file of all documents; the rows of those that have no embedding are NaN. */
async function* matrix(
  { job, index, store }: Finish,
  done: ReadonlyMap<number, { completed: number }>,
): AsyncGenerator<Uint8Array> {
  const known = [...done].find(([, { completed }]) => completed > 0)?.[0] ?? 0;
  const bytes = (await store.size(keys.part(job.spec.id, known, 'out'))) ?? 0;
  const dimension = bytes / 4 / documentsOf(index, known);
  yield npyHeader(index.documents, dimension);
  for (const chunk of index.chunks.keys()) {
    if ((done.get(chunk)?.completed ?? 0) > 0) {
      yield* (await store.read(keys.part(job.spec.id, chunk, 'out'))) as AsyncIterable<Uint8Array>;
    } else {
      yield Buffer.from(new Float32Array(documentsOf(index, chunk) * dimension).fill(NaN).buffer);
    }
  }
}

/** Opens some streams ahead, and hands them over one after the other; when that ends early, those that are left are closed. */
async function* inOrder<T>(items: readonly T[], open: (item: T) => Promise<Readable>): AsyncGenerator<Readable> {
  const ahead: Promise<Readable>[] = [];
  const rest = items.values();
  const openNext = (): void => {
    const { done, value } = rest.next();
    if (done) return;
    const opened = open(value);
    // What fails meanwhile is thrown when its turn comes.
    opened.then(
      (stream) => stream.on('error', () => {}),
      () => {},
    );
    ahead.push(opened);
  };
  try {
    for (let i = 0; i < AHEAD; i++) openNext();
    for (let first = ahead.shift(); first; first = ahead.shift()) {
      openNext();
      yield await first;
    }
  } finally {
    for (const opened of ahead) {
      opened.then(
        (stream) => stream.destroy(),
        () => {},
      );
    }
  }
}
