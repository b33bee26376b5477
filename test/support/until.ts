import { once, type EventEmitter } from 'node:events';
import type { Directory, DirectoryChange, Replica } from '../../src/transport/transport.js';

const LIMIT_MS = 20_000;

/** Fails with `what` rather than hanging when an awaited thing does not come. */
export async function within<T>(promise: Promise<T>, what: string, limitMs = LIMIT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${limitMs} ms in vain: ${what}`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The first replica for which `wanted` holds, now or after a change. */
export function replicaWhere(directory: Directory, wanted: (replica: Replica) => boolean): Promise<Replica> {
  const present = [...directory.replicas.values()].find(wanted);
  if (present) return Promise.resolve(present);
  const found = new Promise<Replica>((resolve) => {
    const end = directory.onChange((replica, change) => {
      if (change === 'left' || change === 'lost' || !wanted(replica)) return;
      end();
      resolve(replica);
    });
  });
  return within(found, 'a replica in the directory');
}

/** The next change of this kind. */
export function nextChange(directory: Directory, wanted: DirectoryChange): Promise<Replica> {
  const seen = new Promise<Replica>((resolve) => {
    const end = directory.onChange((replica, change) => {
      if (change !== wanted) return;
      end();
      resolve(replica);
    });
  });
  return within(seen, `a replica that ${wanted}`);
}

export async function event(emitter: EventEmitter, name: string): Promise<unknown[]> {
  return within(once(emitter, name) as Promise<unknown[]>, `event ${name}`);
}
