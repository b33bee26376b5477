import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { VERSION } from '../../../src/version.js';
import type { ModelSpec } from './folder.js';

/** Of the runtime: an upgrade has changed vectors before. */
const { version: RUNTIME } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };

/**
 * SHA-256 of what an embedding depends on: the model's files by content (graphs, weights beside them, vocabulary,
 * configuration), the versions of clipflow, which prepares texts and images, and of the runtime, and `settings`.
 */
export async function fingerprintOf(spec: ModelSpec, settings: readonly unknown[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([VERSION, RUNTIME, ...settings]));
  const folders = new Set([spec.folder, dirname(spec.textual), dirname(spec.visual)]);
  for (const folder of [...folders].sort()) {
    for (const name of await filesOf(folder)) {
      const path = join(folder, name);
      // Other graphs that lie beside, such as those in another precision, take no part.
      if (name.endsWith('.onnx') && path !== spec.textual && path !== spec.visual) continue;
      hash.update(JSON.stringify([name, await sha256(path)]));
    }
  }
  return hash.digest('hex');
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
