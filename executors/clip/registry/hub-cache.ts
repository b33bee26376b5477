import { randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

/**
 * One repository in a hub's cache, as huggingface_hub lays it out: `blobs/<etag>` hold the contents,
 * `snapshots/<commit>/<file>` are symbolic links to them, and `refs/<revision>` holds a commit.
 */
export class CachedRepository {
  readonly folder: string;
  readonly blobs: string;
  /** What processes that download this repository take turns by. */
  readonly lock: string;

  constructor(cache: string, repository: string) {
    const name = `models--${repository.replaceAll('/', '--')}`;
    this.folder = join(cache, name);
    this.blobs = join(this.folder, 'blobs');
    this.lock = join(cache, '.locks', name, 'clipflow.lock');
  }

  /** Folder of the snapshot of a revision, if it has all of `files`. */
  async snapshot(revision: string, files: readonly string[]): Promise<string | undefined> {
    const commit = await readFile(join(this.folder, 'refs', revision), 'utf8').catch(() => revision);
    const folder = join(this.folder, 'snapshots', commit.trim());
    const found = await Promise.all(files.map((file) => isThere(join(folder, file))));
    return found.every(Boolean) ? folder : undefined;
  }

  /** Makes what a download writes to. */
  async prepare(): Promise<void> {
    await mkdir(this.blobs, { recursive: true });
  }

  /** Links a file of a snapshot to its blob. */
  async link(commit: string, file: string, etag: string): Promise<void> {
    const path = join(this.folder, 'snapshots', commit, file);
    await mkdir(dirname(path), { recursive: true });
    await replace(path, (temporary) => symlink(relative(dirname(path), join(this.blobs, etag)), temporary));
  }

  /** Lets a revision mean a commit, and returns the commit's folder. */
  async point(revision: string, commit: string): Promise<string> {
    const path = join(this.folder, 'refs', revision);
    if (revision !== commit) {
      await mkdir(dirname(path), { recursive: true });
      await replace(path, (temporary) => writeFile(temporary, commit));
    }
    return join(this.folder, 'snapshots', commit);
  }
}

/** Bytes of all files below a folder, those that links lead to included. */
export async function folderSize(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true });
  const sizes = await Promise.all(
    names.map(async (name) => {
      const found = await stat(join(folder, name)).catch(() => undefined); // a link that leads nowhere
      return found?.isFile() ? found.size : 0;
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Through links: a link whose blob is gone is not there. */
export async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Makes a file or link under another name first, so that readers see the old one or the new one whole. */
async function replace(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}
