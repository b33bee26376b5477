import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

type Server = 'nats-server' | 'redis-server';

function onPath(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/bin', '/opt/homebrew/bin'];
  return folders
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Path of a server that tests run for real. */
export function findServer(name: Server): string {
  const file = onPath(name);
  if (!file) throw new Error(`${name} is missing: put it on PATH (Debian, Ubuntu: apt-get install ${name})`);
  return file;
}

/** Installs the server from Debian's packages where that can be done unasked; else it must be there. */
export function ensureServer(name: Server): void {
  if (!onPath(name) && process.getuid?.() === 0 && onPath('apt-get')) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'ignore', env });
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], { stdio: 'ignore', env });
  }
  findServer(name);
}
