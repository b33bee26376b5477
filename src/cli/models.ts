import { findFolder } from '../../executors/clip/locate.js';
import { folderSize } from '../../executors/clip/registry/hub-cache.js';
import { hubSettings } from '../../executors/clip/registry/hub-settings.js';
import { cachedModel, pullModel } from '../../executors/clip/registry/hub.js';
import { MODELS, requireModel, type PublishedModel } from '../../executors/clip/registry/registry.js';
import { createLogger, parseLogLevel } from '../telemetry/log.js';

export interface ModelsFlags {
  json?: boolean;
  models?: string;
}

/** A model that can be had by name, and what of it is on this machine. */
interface ModelRow extends PublishedModel {
  /** Folder; null while it is only on the hub. */
  path: string | null;
  /** Size on disk. */
  bytes: number | null;
}

/** Prints the models that can be had by name, as a table or as JSON. */
export async function models(flags: ModelsFlags): Promise<void> {
  const settings = hubSettings();
  const rows = await Promise.all(
    MODELS.map(async (model): Promise<ModelRow> => {
      const path = (await findFolder(model.name, flags.models)) ?? (await cachedModel(model, settings));
      return { ...model, path: path ?? null, bytes: path === undefined ? null : await folderSize(path) };
    }),
  );
  process.stdout.write(flags.json ? `${JSON.stringify(rows, null, 2)}\n` : table(rows));
}

/** Downloads what the hub has now of a model, and prints its folder. */
export async function pull(name: string): Promise<void> {
  const log = createLogger(parseLogLevel(process.env.CLIPFLOW_LOG_LEVEL ?? 'info'), 'pull');
  process.stdout.write(`${await pullModel(requireModel(name), hubSettings(), { log })}\n`);
}

function table(rows: readonly ModelRow[]): string {
  const lines = [
    ['NAME', 'DIMENSION', 'IMAGE', 'CONTEXT', 'ON DISK'],
    ...rows.map(({ name, dimension, image_size, context_length, bytes }) => [
      name,
      String(dimension),
      String(image_size),
      String(context_length),
      bytes === null ? '-' : size(bytes),
    ]),
  ];
  const width = Math.max(...rows.map(({ name }) => name.length));
  return lines
    .map(([name = '', ...numbers]) => `${name.padEnd(width)}${numbers.map((text) => text.padStart(11)).join('')}\n`)
    .join('');
}

function size(bytes: number): string {
  return bytes < 1e6
    ? `${Math.ceil(bytes / 1e3)} kB`
    : bytes < 1e9
      ? `${Math.ceil(bytes / 1e6)} MB`
      : `${(bytes / 1e9).toFixed(1)} GB`;
}
