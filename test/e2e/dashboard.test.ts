import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Registry } from 'prom-client';
import { ReplicaMetrics } from '../../executors/metrics.js';
import { WorkerMetrics } from '../../src/jobs/worker-metrics.js';
import { ROOT } from '../support/flow-process.js';
import { ServedJobs } from '../support/jobs.js';

/** Of the repository's file: all that it says of metrics. */
function namesIn(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [...new Set([...text.matchAll(/\b(?:clipflow|process|nodejs)_[a-z_]*[a-z]\b/g)].map(([name]) => name))];
}

const namesOf = (registry: Registry): string[] => registry.getMetricsAsArray().map(({ name }) => name);

test('the metrics of the dashboard and of docs/metrics.md are those that there are', async () => {
  await using served = await ServedJobs.start(() => ({ jobs: { workers: 0 } }));
  const text = await (await fetch(`${served.flow.url}/metrics`)).text();
  const types = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)];
  const series = types.flatMap(([, name = '', type]) =>
    type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  );
  const gateway = types.map(([, name = '']) => name);
  const all = [
    ...gateway,
    ...namesOf(new ReplicaMetrics('clip', 'r').registry),
    ...namesOf(new WorkerMetrics().registry),
  ];
  const missing = (names: string[], from: string[]): string[] => names.filter((name) => !from.includes(name));

  const dashboard = namesIn('helm/clipflow/dashboards/clipflow.json');
  assert.ok(dashboard.length > 10, `${dashboard.length} metrics`);
  assert.deepEqual(missing(dashboard, series), []);

  const documented = namesIn('docs/metrics.md');
  assert.deepEqual(missing(documented, [...all, ...series]), []);
  assert.deepEqual(
    missing(
      all.filter((name) => name.startsWith('clipflow_')),
      documented,
    ),
    [],
  );
});
