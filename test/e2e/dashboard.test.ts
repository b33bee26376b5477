import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../support/flow-process.js';
import { ServedJobs } from '../support/jobs.js';

test('each metric of the Grafana dashboard is one that the gateway has', async () => {
  const dashboard = readFileSync(join(ROOT, 'helm/clipflow/dashboards/clipflow.json'), 'utf8');
  const asked = new Set([...dashboard.matchAll(/\b(?:clipflow|process)_\w+/g)].map(([name]) => name));
  assert.ok(asked.size > 10, `${asked.size} metrics`);
  await using served = await ServedJobs.start(() => ({ jobs: { workers: 0 } }));
  const text = await (await fetch(`${served.flow.url}/metrics`)).text();
  const types = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)];
  const series = types.flatMap(([, name = '', type]) =>
    type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  );
  const missing = [...asked].filter((name) => !series.includes(name));
  assert.deepEqual(missing, []);
});
