import { mkdir, statfs } from 'node:fs/promises';
import type { Logger } from 'pino';
import { ClipflowError } from '../../../src/errors.js';
import { fetchBlob, missingBytes } from './fetch-blob.js';
import { CachedRepository } from './hub-cache.js';
import { HubClient, type HubFile } from './hub-client.js';
import type { HubSettings } from './hub-settings.js';
import { withLock } from './lock.js';
import { Progress } from './progress.js';
import { selectFiles, type PublishedModel } from './registry.js';
import { isDiskError, PATIENCE, retrying, type Patience } from './retry.js';

/** Requests under way at once: large models come in hundreds of small files. */
const WIDTH = 4;

export interface DownloadOptions {
  log: Logger;
  /** @default PATIENCE */
  patience?: Patience;
}

/** The folder of a model in the hub's cache, if it is there and whole. */
export function cachedModel(model: PublishedModel, { cache }: HubSettings): Promise<string | undefined> {
  return new CachedRepository(cache, model.repository).snapshot(model.revision, model.files);
}

/**
 * The folder of a model: from the hub's cache, without asking the hub, else downloaded into it. Of several processes
 * that want the same model one downloads it.
 * @throws ClipflowError MODEL_UNAVAILABLE; INVALID_CONFIG when offline; INVALID_MODEL when the repository is no model
 */
export async function provideModel(
  model: PublishedModel,
  settings: HubSettings,
  options: DownloadOptions,
): Promise<string> {
  const cached = await cachedModel(model, settings);
  return cached ?? inTurn(model, settings, options, () => cachedModel(model, settings));
}

/**
 * Downloads what the hub has now of a model, as far as the cache lacks it, and returns its folder.
 * @throws as provideModel
 */
export async function pullModel(
  model: PublishedModel,
  settings: HubSettings,
  options: DownloadOptions,
): Promise<string> {
  return inTurn(model, settings, options, async () => undefined);
}

/** @param present looked at again when it is our turn, as who had it before may have brought the model */
async function inTurn(
  model: PublishedModel,
  settings: HubSettings,
  options: DownloadOptions,
  present: () => Promise<string | undefined>,
): Promise<string> {
  if (settings.offline) {
    throw new ClipflowError(
      'INVALID_CONFIG',
      `model "${model.name}" cannot be downloaded to ${settings.cache}: HF_HUB_OFFLINE is set. Unset it, or run ` +
        `clipflow pull ${model.name} where there is a network, and bring that folder here`,
    );
  }
  const repository = new CachedRepository(settings.cache, model.repository);
  try {
    await mkdir(settings.cache, { recursive: true });
    return await withLock(
      repository.lock,
      async () => (await present()) ?? (await download(model, repository, settings, options)),
      ({ pid, host }) => options.log.info({ event: 'model_download_awaited', model: model.name, pid, host }),
    );
  } catch (error) {
    if (error instanceof ClipflowError || !isDiskError(error)) throw error;
    throw new ClipflowError(
      'MODEL_UNAVAILABLE',
      `model "${model.name}" cannot be written to ${settings.cache}: ${error.message}. Free or grant space there, or ` +
        'set HF_HUB_CACHE to another folder',
      { cause: error },
    );
  }
}

async function download(
  model: PublishedModel,
  repository: CachedRepository,
  settings: HubSettings,
  { log, patience = PATIENCE }: DownloadOptions,
): Promise<string> {
  const retry = retrying(patience, log);
  const client = new HubClient(settings, retry, patience.stallMs);
  try {
    const { commit, files } = await client.list(model.repository, model.revision);
    const [parts = [], graphs = []] = await Promise.all(
      selectFiles(model, files).map((paths) =>
        mapSome(paths, (path) => client.describe(model.repository, commit, path)),
      ),
    );
    await repository.prepare();
    const all = distinct([...parts, ...graphs]);
    const missing = await missingOf(all, repository);
    await checkSpace(missing, settings.cache);
    const total = all.reduce((sum, { size }) => sum + size, 0);
    const progress = new Progress(log, model.name, total, total - missing);
    // Equal files are one blob, which is fetched once.
    const blobs = new Map<string, Promise<void>>();
    const bring = async (file: HubFile): Promise<void> => {
      const blob =
        blobs.get(file.etag) ?? fetchBlob(client, file, repository.blobs, retry, (count) => progress.add(count));
      blobs.set(file.etag, blob);
      await blob;
      await repository.link(commit, file.path, file.etag);
    };
    await mapSome(parts, bring);
    await mapSome(graphs, bring);
    const folder = await repository.point(model.revision, commit);
    progress.end(folder);
    return folder;
  } finally {
    await client.close();
  }
}

function distinct(files: readonly HubFile[]): HubFile[] {
  return [...new Map(files.map((file) => [file.etag, file])).values()];
}

async function missingOf(files: readonly HubFile[], { blobs }: CachedRepository): Promise<number> {
  const missing = await Promise.all(files.map((file) => missingBytes(file, blobs)));
  return missing.reduce((sum, bytes) => sum + bytes, 0);
}

async function checkSpace(needed: number, folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (needed <= free) return;
  throw new ClipflowError(
    'MODEL_UNAVAILABLE',
    `the model takes ${megabytes(needed)} more, but ${folder} has ${megabytes(free)} free: free some, or set ` +
      'HF_HUB_CACHE to another folder',
  );
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}

/** Results in the order of the items. The first failure ends it, once what is under way has ended. */
async function mapSome<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) {
      if (failures.length > 0) return;
      try {
        results[index] = await task(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
  if (failures.length > 0) throw failures[0];
  return results;
}
