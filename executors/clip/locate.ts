import { access } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ClipflowError } from '../../src/errors.js';
import { PACKAGE_ROOT } from '../../src/version.js';

/** Folder of models: CLIPFLOW_MODELS, else a folder of the user's cache. */
export function modelsFolder(env: NodeJS.ProcessEnv = process.env): string {
  return env.CLIPFLOW_MODELS ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'clipflow', 'models');
}

/** A model's name as a folder: `ViT-B-32::openai` and `ViT-B/32` are `ViT-B-32-openai` and `ViT-B-32`. */
export function folderName(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]+/g, '-');
}

/**
 * The folder of a model that is named: in the folder of models, else among those that ship.
 * @throws INVALID_MODEL that says where it was looked for
 */
export async function locateModel(name: string): Promise<string> {
  const candidates = [join(modelsFolder(), folderName(name)), join(PACKAGE_ROOT, 'models', folderName(name))];
  for (const candidate of candidates) {
    try {
      await access(candidate);
      return candidate;
    } catch {
      continue;
    }
  }
  throw new ClipflowError(
    'INVALID_MODEL',
    `model "${name}" is not here (looked for ${candidates.join(' and ')}): put its folder there, or set model_path`,
  );
}
