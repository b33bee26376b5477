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

const NEEDS = {
  helm: { try: ['helm', 'version'], missing: 'helm is not installed' },
  cluster: { try: ['kubectl', 'get', '--raw', '/readyz'], missing: 'the cluster of KUBECONFIG does not answer' },
  'fake GPU nodes': { try: ['kubectl', 'get', 'node', 'fake1', 'fake2'], missing: 'the cluster has no fake GPU nodes' },
};

/** Why a test cannot run here, as `node:test` wants it; false where it can. */
export function without(need: keyof typeof NEEDS): string | false {
  const {
    try: [program = '', ...args],
    missing,
  } = NEEDS[need];
  if (program === 'kubectl' && process.env.KUBECONFIG === undefined) return 'KUBECONFIG names no cluster';
  try {
    execFileSync(program, args, { stdio: 'ignore', timeout: 10_000 });
    return false;
  } catch {
    return missing;
  }
}
