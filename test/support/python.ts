import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './flow-process.js';

const run = promisify(execFile);

/** The pinned packages have wheels for it; others may do. */
const CANDIDATES = ['python3.11', 'python3'];
const STAMP = 'requirements.sha256';

/** Name of a Python 3 on PATH that can make virtual environments. */
export function findPython(): string | undefined {
  return CANDIDATES.find((name) => {
    try {
      execFileSync(name, ['-c', 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))'], {
        stdio: 'ignore',
      });
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Path of the Python of a virtual environment with exactly the packages of a requirements file, which resolve none of
 * their own. It is made once (a minute, up to 290 MB) in .cache/ and again when the file changes.
 */
export async function pythonWith(python: string, name: string, requirements: string): Promise<string> {
  const folder = join(ROOT, '.cache', name);
  const hash = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  const isMade = (): boolean => {
    const stamp = join(folder, STAMP);
    return existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
  };
  if (!isMade()) {
    // Two test files may make it at the same time: it appears whole.
    const unfinished = `${folder}.${process.pid}`;
    try {
      await make(python, unfinished, requirements);
      writeFileSync(join(unfinished, STAMP), hash);
      if (!isMade()) {
        rmSync(folder, { recursive: true, force: true });
        renameSync(unfinished, folder);
      }
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  return join(folder, 'bin', 'python');
}

async function make(python: string, folder: string, requirements: string): Promise<void> {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  await run(python, ['-m', 'venv', folder]);
  const made = join(folder, 'bin', 'python');
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
  // Later ones cannot build the older packages among them.
  await run(made, [...pip, 'pip<24.1', 'setuptools==65.5.0', 'wheel']);
  const env = { ...process.env, JINA_PIP_INSTALL_CORE: '1' };
  await run(made, [...pip, '--no-deps', '--no-build-isolation', '-r', requirements], { env });
}
