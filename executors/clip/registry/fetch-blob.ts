import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ClipflowError } from '../../../src/errors.js';
import type { HubClient, HubFile, HubResponse } from './hub-client.js';
import { PassingFailure, type Retry } from './retry.js';

/** Times that a file may arrive whole but wrong. */
const MAX_WRONG = 2;

/** Bytes of a file that are still to come. */
export async function missingBytes(file: HubFile, blobs: string): Promise<number> {
  if ((await sizeOf(join(blobs, file.etag))) === file.size) return 0;
  return file.size - Math.min(file.size, (await sizeOf(partOf(file, blobs))) ?? 0);
}

/**
 * Puts a file's content under `blobs`, verified. What arrived before a connection broke is kept and added to: contents
 * are named by their ETag, and a commit's files never change, so what lies there is a part of the same.
 * @param onBytes told of each piece that arrives, and with less than nothing of what has to come again
 * @throws ClipflowError MODEL_UNAVAILABLE, or an error of the disk
 */
export async function fetchBlob(
  client: HubClient,
  file: HubFile,
  blobs: string,
  retry: Retry,
  onBytes: (count: number) => void,
): Promise<void> {
  const target = join(blobs, file.etag);
  if ((await sizeOf(target)) === file.size) return;
  const part = partOf(file, blobs);
  let farthest = (await sizeOf(part)) ?? 0;
  let wrong = 0;
  await retry(`${file.path} could not be fetched`, async (progressed) => {
    await complete(client, file, part, (position, count) => {
      onBytes(count);
      // A server that begins anew each time makes progress only beyond where it broke off before.
      if (position <= farthest) return;
      farthest = position;
      progressed();
    });
    const fault = await verify(part, file);
    if (fault === undefined) return rename(part, target);
    await rm(part, { force: true });
    onBytes(-file.size);
    wrong += 1;
    if (wrong >= MAX_WRONG) {
      throw new ClipflowError('MODEL_UNAVAILABLE', `${file.path} arrived ${wrong} times, but wrong: ${fault}`);
    }
    throw new PassingFailure(fault);
  });
}

function partOf({ etag }: HubFile, blobs: string): string {
  return join(blobs, `${etag}.incomplete`);
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}

/** Appends what a part lacks. */
async function complete(
  client: HubClient,
  file: HubFile,
  part: string,
  onBytes: (position: number, count: number) => void,
): Promise<void> {
  await using out = await open(part, 'a');
  let { size: position } = await out.stat();
  const restart = async (): Promise<void> => {
    await out.truncate(0);
    onBytes(0, -position);
    position = 0;
  };
  if (position > file.size) await restart();
  if (position === file.size) return;
  const response = await client.open(file, position);
  if (position > 0 && !continues(response, position, file.size)) {
    if (response.statusCode === 206) {
      await response.body.dump();
      await restart();
      throw new PassingFailure('the server sent another part than it was asked for');
    }
    await restart();
  }
  // Leaving the loop by an error destroys the body, which closes the connection.
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    if (position + chunk.length > file.size) throw new PassingFailure(`more came than its ${file.size} bytes`);
    await out.appendFile(chunk);
    position += chunk.length;
    onBytes(position, chunk.length);
  }
  await out.datasync();
  if (position < file.size) throw new PassingFailure(`only ${position} of its ${file.size} bytes came`);
}

function continues({ statusCode, headers }: HubResponse, from: number, size: number): boolean {
  return statusCode === 206 && headers['content-range'] === `bytes ${from}-${size - 1}/${size}`;
}

/**
 * What is wrong with a whole file. Large files are named by their SHA-256, others by git's object id (the SHA-1 of
 * `blob SIZE\0` and the content); of another ETag nothing is known but the size.
 */
async function verify(part: string, { etag, size }: HubFile): Promise<string | undefined> {
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)) return undefined;
  const hash = etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
  await pipeline(createReadStream(part), hash);
  const found = String(hash.digest('hex'));
  return found === etag ? undefined : `its checksum is ${found}, expected ${etag}`;
}
