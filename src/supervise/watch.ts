import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** By polling: file events miss the swapped links of mounted volumes, and network file systems send none. */
const LOOK_MS = 1000;

/**
 * Calls back when a file, or one in a folder, has changed and been left alone since: a model is copied in parts.
 * Returns a function that ends it.
 */
export function watchPaths(paths: readonly string[], changed: () => void): () => void {
  if (paths.length === 0) return () => {};
  let known = fingerprint(paths);
  let last = known;
  const timer = setInterval(() => {
    const now = fingerprint(paths);
    const settled = now === last;
    last = now;
    if (!settled || now === known) return;
    known = now;
    changed();
  }, LOOK_MS).unref();
  return () => clearInterval(timer);
}

/** Names, sizes and times of all files; what is missing or cannot be read is part of it. */
function fingerprint(paths: readonly string[]): string {
  return paths.map(fingerprintOf).join('\n');
}

function fingerprintOf(path: string): string {
  try {
    const { size, mtimeMs, ino } = statSync(path);
    if (!statSync(path).isDirectory()) return `${path} ${size} ${mtimeMs} ${ino}`;
    const files = readdirSync(path).sort();
    return `${path} ${ino}\n${fingerprint(files.map((file) => join(path, file)))}`;
  } catch {
    return `${path} is missing`;
  }
}
