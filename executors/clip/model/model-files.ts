import { access, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { ClipflowError } from '../../../src/errors.js';

/** The first of `names` that `folder` holds. */
export async function findFile(folder: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const path = join(folder, name);
    if (await exists(path)) return path;
  }
  return undefined;
}

/** @throws ClipflowError INVALID_MODEL when `folder` holds none of `names`. */
export async function requireFile(folder: string, names: readonly string[]): Promise<string> {
  const path = await findFile(folder, names);
  if (path !== undefined) return path;
  throw new ClipflowError(
    'INVALID_MODEL',
    `The model folder ${folder} lacks ${names.join(' or ')}; add it from where the model came from.`,
  );
}

/** @throws ClipflowError INVALID_MODEL naming the file and the field that is wrong. */
export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new ClipflowError('INVALID_MODEL', `${path} is wrong: ${reason}`, { cause: error });
  }
}

/** OpenAI CLIP's vocabulary, under the name that OpenAI gave it. */
export const CLIP_VOCABULARY = 'bpe_simple_vocab_16e6.txt.gz';

/** Path of the vocabulary that ships with clipflow, looked for upwards as the build adds a level of folders. */
export async function shippedVocabulary(): Promise<string> {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const path = await findFile(folder, [join('models', 'tiny-clip', CLIP_VOCABULARY)]);
    if (path !== undefined) return path;
  }
  throw new ClipflowError(
    'INVALID_MODEL',
    `models/tiny-clip/${CLIP_VOCABULARY} is missing from clipflow: install it again.`,
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
