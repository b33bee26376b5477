import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FlowProcess, ROOT } from '../support/flow-process.js';
import { jobsFlow } from '../support/jobs.js';
import { RedisServer } from '../support/redis-server.js';

test('each metric of the Grafana dashboard is one that the gateway has', async () => {
  const dashboard = readFileSync(join(ROOT, 'helm/clipflow/dashboards/clipflow.json'), 'utf8');
  const asked = new Set([...dashboard.matchAll(/\b(?:clipflow|process)_\w+/g)].map(([name]) => name));
  assert.ok(asked.size > 10, `${asked.size} metrics`);
  const files = mkdtempSync(join(tmpdir(), 'clipflow-dashboard-'));
  try {
    await using redis = await RedisServer.start();
    await using flow = await FlowProcess.start({ text: jobsFlow(redis.url, files, { workers: 0 }) });
    const text = await (await fetch(`${flow.url}/metrics`)).text();
    const types = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)];
    const series = types.flatMap(([, name = '', type]) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    );
    const missing = [...asked].filter((name) => !series.includes(name));
    assert.deepEqual(missing, []);
  } finally {
    rmSync(files, { recursive: true, force: true });
  }
});
