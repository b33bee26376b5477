import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { processRegistry } from '../../../src/telemetry/registry.js';

const REGISTRY = new URL('../../../src/telemetry/registry.js', import.meta.url).href;

async function values(name: string): Promise<Record<string, number>> {
  const metric = processRegistry().getSingleMetric(name);
  assert.ok(metric, name);
  const { values } = await metric.get();
  return Object.fromEntries(values.map(({ labels, value }) => [Object.values(labels).join(), value]));
}

test('the time of the event loop is all time, and what keeps it is active', async () => {
  const name = 'nodejs_eventloop_time_seconds_total';
  const start = performance.now();
  const before = await values(name);
  while (performance.now() - start < 200);
  const after = await values(name);
  const elapsed = (performance.now() - start) / 1000;
  const active = (after.active ?? NaN) - (before.active ?? NaN);
  const idle = (after.idle ?? NaN) - (before.idle ?? NaN);
  assert.ok(active > 0.15, `active for ${active} s`);
  assert.ok(Math.abs(active + idle - elapsed) < 0.05, `${active} s and ${idle} s of ${elapsed} s`);
});

test('of the loop’s lag there is what a scrape sees, and no statistics without samples', async () => {
  const names = processRegistry()
    .getMetricsAsArray()
    .map(({ name }) => name);
  assert.ok(names.includes('process_resident_memory_bytes'));
  assert.deepEqual(
    names.filter((name) => name.includes('lag')),
    ['nodejs_eventloop_lag_seconds'],
  );
  assert.doesNotMatch(await processRegistry().metrics(), /\bnan\b/i);
});

test('a process that does nothing sleeps', async () => {
  const idle = `
    const { processRegistry } = await import('${REGISTRY}');
    processRegistry();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const before = process.resourceUsage().voluntaryContextSwitches;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    console.log(process.resourceUsage().voluntaryContextSwitches - before);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', idle]);
  assert.ok(Number(stdout) < 50, `it woke ${stdout.trim()} times in a second`);
});
