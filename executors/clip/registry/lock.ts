import { randomUUID } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';

/** How often who waits looks again, how often the owner shows that it lives, and after what silence it is dead. */
const POLL_MS = 200;
const BEAT_MS = 5_000;
const SILENCE_MS = 60_000;

const LockOwner = z.object({ id: z.string(), pid: z.int(), host: z.string() });
export type LockOwner = z.infer<typeof LockOwner>;

/**
 * Runs a task while no other process does so under the same lock file. Node has no flock, so the file says who holds it.
 * An owner that died is followed: at once if it was a process here, after a minute of silence if it was elsewhere.
 * @param onWait called once, if another process has the lock
 */
export async function withLock<T>(
  path: string,
  task: () => Promise<T>,
  onWait: (owner: LockOwner) => void = () => {},
): Promise<T> {
  const self = { id: randomUUID(), pid: process.pid, host: thisHost() };
  await mkdir(dirname(path), { recursive: true });
  for (let waited = false; !(await create(path, self)); waited = true) {
    const owner = await readOwner(path);
    if (!owner) continue; // released meanwhile
    if ((await isDead(path, owner)) && (await takeOver(path, owner, self))) break;
    if (!waited) onWait(owner);
    await pause(POLL_MS);
  }
  const beat = setInterval(() => void touch(path), BEAT_MS).unref();
  try {
    return await task();
  } finally {
    clearInterval(beat);
    if ((await readOwner(path))?.id === self.id) await rm(path, { force: true });
  }
}

/** Process ids mean something within one PID namespace only, and containers may share a host's name. */
function thisHost(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname(); // no Linux
  }
}

async function create(path: string, owner: LockOwner): Promise<boolean> {
  try {
    await writeFile(path, JSON.stringify(owner), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function readOwner(path: string): Promise<LockOwner | undefined> {
  try {
    return LockOwner.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return { id: 'unknown', pid: 0, host: '' }; // being written, or its writer died over it
  }
}

async function isDead(path: string, { pid, host }: LockOwner): Promise<boolean> {
  if (host === thisHost() && !isRunning(pid)) return true;
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > SILENCE_MS;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // another user's
  }
}

/**
 * Replaces a dead owner. Only who holds the claim to that very owner may do so, and looks again first: otherwise two
 * that saw the same dead owner could both believe to follow it, the second by removing the first.
 */
async function takeOver(path: string, dead: LockOwner, self: LockOwner): Promise<boolean> {
  const claim = `${path}.${dead.id}`;
  if (!(await create(claim, self))) {
    const claimant = await readOwner(claim);
    if (claimant && (await isDead(claim, claimant))) await rm(claim, { force: true });
    return false;
  }
  try {
    if ((await readOwner(path))?.id !== dead.id) return false;
    await writeFile(`${path}.${self.id}.tmp`, JSON.stringify(self));
    await rename(`${path}.${self.id}.tmp`, path);
    return true;
  } finally {
    await rm(claim, { force: true });
  }
}

async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => {}); // removed with the cache; the download will tell
}
