import { fileURLToPath } from 'node:url';
import type { FileStore, OpenOptions } from './file-store.js';
import { LocalFileStore } from './local.js';

/**
 * @param location a folder (a path or a file: url), or `s3://bucket/prefix`
 */
export async function openFileStore(location: string, options: OpenOptions = {}): Promise<FileStore> {
  return LocalFileStore.open(location.startsWith('file:') ? fileURLToPath(location) : location, options);
}
