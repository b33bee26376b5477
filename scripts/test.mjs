// Runs the compiled tests: all of them, or those whose path contains one of the arguments.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ensureServer } from '../dist/test/support/servers.js';

try {
  for (const server of ['nats-server', 'redis-server']) ensureServer(server);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

/** For one test file as a whole: a test that hangs must not hang the run. */
const LIMIT_MS = 300_000;

const wanted = process.argv.slice(2);
const files = readdirSync('dist/test', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js'))
  .map((file) => join('dist/test', file))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();
if (files.length === 0) {
  console.error(`no test file matches ${wanted.join(', ')}`);
  process.exit(1);
}
const run = spawnSync(
  process.execPath,
  [
    '--enable-source-maps',
    '--test',
    '--test-concurrency=2',
    `--test-timeout=${LIMIT_MS}`,
    '--test-reporter=spec',
    ...files,
  ],
  { stdio: 'inherit' },
);
process.exit(run.status ?? 1);
