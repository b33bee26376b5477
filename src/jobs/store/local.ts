import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  checkKey,
  checkPath,
  checkPrefix,
  MeasuredContent,
  noSuchFile,
  type ByteRange,
  type FileStore,
  type OpenOptions,
  type StoredFile,
  type WriteOptions,
} from './file-store.js';

/** Files that are being written; no key can name it, as none starts with a tilde. */
const UNFINISHED = '~writing';
const ABANDONED_MS = 86_400_000;

/** A folder, on one machine or on a volume that several share. */
export class LocalFileStore implements FileStore {
  readonly location: string;

  private constructor(private readonly root: string) {
    this.location = `file:${root}`;
  }

  static async open(folder: string, { readOnly = false }: OpenOptions = {}): Promise<LocalFileStore> {
    const store = new LocalFileStore(resolve(folder));
    if (readOnly) return store;
    await mkdir(join(store.root, UNFINISHED), { recursive: true });
    await store.#removeAbandoned();
    return store;
  }

  async write(
    key: string,
    content: AsyncIterable<Uint8Array>,
    { maxBytes = Infinity }: WriteOptions = {},
  ): Promise<number> {
    const target = this.#path(checkKey(key));
    const unfinished = join(this.root, UNFINISHED, randomBytes(12).toString('hex'));
    const measured = new MeasuredContent(key, content, maxBytes);
    try {
      await pipeline(measured, createWriteStream(unfinished, { flush: true }));
      await mkdir(dirname(target), { recursive: true });
      await rename(unfinished, target);
      await syncFolder(dirname(target));
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
    return measured.bytes;
  }

  async read(key: string, { start = 0, end }: ByteRange = {}): Promise<Readable> {
    const path = this.#path(key);
    const file = await open(path, 'r').catch((cause: unknown) => {
      throw isMissing(cause) ? noSuchFile(key, cause) : cause;
    });
    // createReadStream's end is inclusive, so an empty range cannot be said.
    const { size } = await file.stat();
    if (start >= Math.min(end ?? size, size)) {
      await file.close();
      return createReadStream('/dev/null');
    }
    return file.createReadStream({ start, ...(end === undefined ? {} : { end: end - 1 }) });
  }

  async size(key: string): Promise<number | undefined> {
    try {
      const found = await stat(this.#path(key));
      return found.isFile() ? found.size : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async *list(prefix: string): AsyncGenerator<StoredFile> {
    const slash = checkPrefix(prefix).lastIndexOf('/');
    const folder = slash < 0 ? this.root : this.#path(prefix.slice(0, slash));
    for await (const path of walk(folder)) {
      const key = relative(this.root, path).split(sep).join('/');
      if (key.startsWith(prefix)) yield { key, bytes: (await stat(path)).size };
    }
  }

  async remove(key: string): Promise<void> {
    await rm(this.#path(key), { recursive: true, force: true });
  }

  #path(key: string): string {
    return join(this.root, ...checkPath(key).split('/'));
  }

  async #removeAbandoned(): Promise<void> {
    const folder = join(this.root, UNFINISHED);
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      const written = await stat(path).catch(() => undefined);
      if (written && Date.now() - written.mtimeMs > ABANDONED_MS) await rm(path, { force: true });
    }
  }
}

/** Files below a folder, in the order of their keys: `a-b` comes before `a/b`, as bytes are compared. */
async function* walk(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  const sortable = (entry: (typeof entries)[number]): string => (entry.isDirectory() ? `${entry.name}/` : entry.name);
  const shown = entries.filter(({ name }) => name !== UNFINISHED);
  shown.sort((a, b) => (sortable(a) < sortable(b) ? -1 : 1));
  for (const entry of shown) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield path;
  }
}

/** A rename is durable once its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
