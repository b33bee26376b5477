import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './flow-process.js';

const run = promisify(execFile);

/** What the command prints; rejects with what it says (`stderr`) when it fails. */
export async function clipflow(...args: string[]): Promise<string> {
  return (await run(process.execPath, [join(ROOT, 'dist/src/cli/main.js'), ...args])).stdout;
}
