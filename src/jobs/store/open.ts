import { fileURLToPath } from 'node:url';
import type { FileStore, OpenOptions } from './file-store.js';
import { LocalFileStore } from './local.js';

/**
 * @param location a folder (a path or a file: url), or `s3://bucket/prefix`
 */
export async function openFileStore(location: string, options: OpenOptions = {}): Promise<FileStore> {
  if (location.startsWith('s3:')) {
    // The SDK takes a while to load, and most flows have no use for it.
    const { S3FileStore } = await import('./s3.js');
    return S3FileStore.open(location);
  }
  return LocalFileStore.open(location.startsWith('file:') ? fileURLToPath(location) : location, options);
}
