import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './flow-process.js';

const run = promisify(execFile);

/** The pinned packages have wheels for it; others may do. */
const CANDIDATES = ['python3.11', 'python3'];

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
 * their own. It is made once (a minute, 290 MB) in .cache/ and again when the file changes.
 */
export async function pythonWith(python: string, name: string, requirements: string): Promise<string> {
  const folder = join(ROOT, '.cache', name);
  const stamp = join(folder, 'requirements.sha256');
  const hash = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  const made = join(folder, 'bin', 'python');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return made;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  await run(python, ['-m', 'venv', folder]);
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
  // Later ones cannot build the older packages among them.
  await run(made, [...pip, 'pip<24.1', 'setuptools==65.5.0', 'wheel']);
  const env = { ...process.env, JINA_PIP_INSTALL_CORE: '1' };
  await run(made, [...pip, '--no-deps', '--no-build-isolation', '-r', requirements], { env });
  writeFileSync(stamp, hash);
  return made;
}
