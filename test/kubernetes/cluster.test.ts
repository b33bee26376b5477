import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, test } from 'node:test';
import { LoadPod } from './load-pod.js';
import { Release, skipRelease } from './release.js';

/** Documents that each replica's own metrics count. */
async function documentsByPod(release: Release): Promise<number[]> {
  const selector = 'app.kubernetes.io/component=clip';
  const pods = (await release.kubectl('get', 'pods', '-l', selector, '-o', 'name')).trim().split('\n');
  const script = "fetch('http://localhost:9090/metrics').then((a) => a.text()).then((t) => console.log(t))";
  return Promise.all(
    pods.map(async (pod) => {
      const metrics = await release.kubectl('exec', pod, '--', 'node', '--eval', script);
      const counts = [...metrics.matchAll(/^clipflow_executor_documents_total\{.*\} (\d+)$/gm)];
      return counts.reduce((sum, [, count]) => sum + Number(count), 0);
    }),
  );
}

/** Resolves when the executor's Deployment wants so many pods and has them. */
async function scaledTo(release: Release, replicas: number): Promise<void> {
  for (;;) {
    const status = await release.kubectl(
      'get',
      'deployment/x-clip',
      '-o',
      'jsonpath={.spec.replicas} {.status.readyReplicas}',
    );
    if (status === `${replicas} ${replicas}`) return;
    await delay(500);
  }
}

describe('on Kubernetes', { skip: skipRelease }, () => {
  test('installed, scaled, rolled out and killed under load: no request fails', { timeout: 400_000 }, async (t) => {
    await using release = await Release.create();
    const installed = performance.now();
    await release.installed();
    t.diagnostic(`installed in ${Math.round((performance.now() - installed) / 1000)} s`);
    await release.helm('test', '--timeout=60s');

    const load = await LoadPod.start(release);
    await release.kubectl('scale', 'deployment/x-clip', '--replicas=3');
    await release.rolledOut('deployment/x-clip');
    await load.untilAnswered(200);
    const documents = await documentsByPod(release);
    t.diagnostic(`documents by replica: ${documents.join(', ')}`);
    assert.equal(documents.length, 3);
    assert.ok(documents.every((count) => count > 0));
    await release.kubectl('scale', 'deployment/x-clip', '--replicas=1');
    await load.untilAnswered(50);

    await release.kubectl('rollout', 'restart', 'deployment/x-gateway', 'deployment/x-clip');
    await release.rolledOut('deployment/x-gateway', 'deployment/x-clip');
    await load.untilAnswered(50);

    await release.kubectl('scale', 'deployment/x-clip', '--replicas=2');
    await release.rolledOut('deployment/x-clip');
    await release.kubectl(
      'delete',
      'pod',
      '-l',
      'app.kubernetes.io/component=clip',
      '--wait=false',
      '--grace-period=0',
      '--force',
    );
    await release.rolledOut('deployment/x-clip');
    await load.untilAnswered(50);
    const { grpc, http, failures } = await load.stop();
    t.diagnostic(`${grpc} requests over gRPC and ${http} over HTTP answered, ${failures.length} failed`);
    assert.deepEqual(failures, []);
  });

  test('a plain HPA on our own metrics API: 1 -> 3 -> 1 with the load', { timeout: 400_000 }, async (t) => {
    await using release = await Release.create();
    const settings = 'kind=hpa,metricsApi=true,max=3,targetOngoing=2,upSeconds=0,downSeconds=5';
    await release.installed('--set', settings.replace(/(\w+)=/g, 'autoscaling.$1='));
    await scaledTo(release, 1);
    const load = await LoadPod.start(release);
    const started = performance.now();
    await scaledTo(release, 3);
    t.diagnostic(`three replicas ${Math.round((performance.now() - started) / 1000)} s after the load began`);
    const { failures } = await load.stop();
    assert.deepEqual(failures, []);
    await scaledTo(release, 1);
  });
});
