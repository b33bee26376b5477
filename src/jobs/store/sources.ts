import { ClipflowError } from '../../errors.js';
import type { FileStore } from './file-store.js';
import { openFileStore } from './open.js';

/** The stores that jobs may read images from, by the names that the flow gives them. */
export class Sources {
  constructor(private readonly stores: ReadonlyMap<string, FileStore>) {}

  /** @throws INVALID_REQUEST when the flow names no such source */
  of(name: string): FileStore {
    const found = this.stores.get(name);
    if (found) return found;
    const known = [...this.stores.keys()].join(', ') || 'none';
    throw new ClipflowError('INVALID_REQUEST', `there is no source "${name}" (jobs.sources); there is: ${known}`);
  }
}

export async function openSources(locations: Readonly<Record<string, string>>): Promise<Sources> {
  const opened = Object.entries(locations).map(
    async ([name, location]) => [name, await openFileStore(location, { readOnly: true })] as const,
  );
  return new Sources(new Map(await Promise.all(opened)));
}
