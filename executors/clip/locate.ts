import { access } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ClipflowError } from '../../src/errors.js';
import { PACKAGE_ROOT } from '../../src/version.js';

/** Where model folders lie unless somebody says otherwise. */
function defaultModels(env: NodeJS.ProcessEnv): string {
  return join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'clipflow', 'models');
}

/** A model's name as a folder: `ViT-B-32::openai` and `ViT-B/32` are `ViT-B-32-openai` and `ViT-B-32`. */
export function folderName(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]+/g, '-');
}

/**
 * The folder of a model that is named: in the folder of models, else among those that ship.
 * @param models the folder of models. @default a folder of the user's cache
 * @throws INVALID_MODEL that says where it was looked for
 */
export async function locateModel(name: string, models = defaultModels(process.env)): Promise<string> {
  const folder = folderName(name);
  const candidates = [join(models, folder), join(PACKAGE_ROOT, 'models', folder)];
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
