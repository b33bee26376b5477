import { readFileSync } from 'node:fs';
import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { PACKAGE_ROOT, VERSION } from '../../src/version.js';

/** Where and with what something was measured. */
export interface Machine {
  date: string;
  cpu: string;
  cores: number;
  memoryGiB: number;
  system: string;
  /** Processes that ran or wanted to in the minute before: beside none of ours, it should be 0. */
  loadBefore: number;
  clipflow: string;
  node: string;
  onnxruntime: string;
  sharp: string;
}

export function describeMachine(): Machine {
  const [cpu] = cpus();
  return {
    date: new Date().toISOString(),
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
    loadBefore: Math.round((loadavg()[0] ?? NaN) * 100) / 100,
    clipflow: VERSION,
    node: process.versions.node,
    onnxruntime: versionOf('onnxruntime-node'),
    sharp: versionOf('sharp'),
  };
}

/** Of a package that is installed in the checkout. */
function versionOf(name: string): string {
  const file = join(PACKAGE_ROOT, 'node_modules', name, 'package.json');
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(file, 'utf8'))).version;
}
