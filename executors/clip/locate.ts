import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { ClipflowError } from '../../src/errors.js';
import { PACKAGE_ROOT } from '../../src/version.js';
import { isThere } from './registry/hub-cache.js';
import { hubSettings } from './registry/hub-settings.js';
import { provideModel } from './registry/hub.js';
import { findModel, nearestNames } from './registry/registry.js';

/** Where model folders lie unless somebody says otherwise. */
function defaultModels(env: NodeJS.ProcessEnv): string {
  return join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'clipflow', 'models');
}

/** A model's name as a folder: `ViT-B-32::openai` and `ViT-B/32` are `ViT-B-32-openai` and `ViT-B-32`. */
export function folderName(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]+/g, '-');
}

export interface LocateOptions {
  /** Folder of models. @default CLIPFLOW_MODELS, else a folder of the user's cache */
  models?: string | undefined;
  log: Logger;
}

/**
 * The folder of a model that is named: in the folder of models, else among those that ship, else in the cache of the
 * Hugging Face hub, else downloaded into that.
 * @throws INVALID_MODEL that says where it was looked for and what names are near; what `provideModel` throws
 */
export async function locateModel(name: string, { models, log }: LocateOptions): Promise<string> {
  const local = await findFolder(name, models);
  if (local !== undefined) return local;
  const model = findModel(name);
  if (model) return provideModel(model, hubSettings(), { log });
  const looked = candidates(name, models).join(' and ');
  throw new ClipflowError(
    'INVALID_MODEL',
    `model "${name}" is not here (looked for ${looked}) and is none that can be downloaded (clipflow models lists ` +
      `them; the nearest are ${nearestNames(name).join(', ')}): mend the name, put its folder there, or set model_path`,
  );
}

/** The folder of a model among those of the user and those that ship, under any of its names. */
export async function findFolder(name: string, models?: string): Promise<string | undefined> {
  for (const candidate of candidates(name, models)) if (await isThere(candidate)) return candidate;
  return undefined;
}

function candidates(name: string, models = process.env.CLIPFLOW_MODELS ?? defaultModels(process.env)): string[] {
  const model = findModel(name);
  const names = model ? [name, model.name, model.repository.replace(/.*\//, ''), ...model.aliases] : [name];
  const folders = [...new Set(names.map(folderName))];
  return [models, join(PACKAGE_ROOT, 'models')].flatMap((parent) => folders.map((folder) => join(parent, folder)));
}
