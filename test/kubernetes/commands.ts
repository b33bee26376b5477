import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { ROOT } from '../support/flow-process.js';

const run = promisify(execFile);

export const CHART = 'helm/clipflow';

/** What a program prints; rejects with what it says (`stderr`) when it fails. */
export async function command(program: string, ...args: string[]): Promise<string> {
  return (await run(program, args, { cwd: ROOT, maxBuffer: 64 * 2 ** 20 })).stdout;
}

export const helm = (...args: string[]): Promise<string> => command('helm', ...args);
export const kubectl = (...args: string[]): Promise<string> => command('kubectl', ...args);

/** Why a test cannot run here, as `node:test` wants it; false where it can. */
export function without(program: 'helm' | 'cluster'): string | false {
  const [name, ...args] = program === 'helm' ? ['helm', 'version'] : ['kubectl', 'get', '--raw', '/readyz'];
  if (program === 'cluster' && process.env.KUBECONFIG === undefined) return 'KUBECONFIG names no cluster';
  try {
    execFileSync(name ?? '', args, { stdio: 'ignore', timeout: 10_000 });
    return false;
  } catch {
    return program === 'helm' ? 'helm is not installed' : 'the cluster of KUBECONFIG does not answer';
  }
}
