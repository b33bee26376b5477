import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { ROOT } from '../support/flow-process.js';
import { CHART, helm, kubectl, without } from './commands.js';
import { violations } from './schemas.js';

const VALUES = readdirSync(join(ROOT, CHART, 'ci')).map((file) => `${CHART}/ci/${file}`);
const skip = without('helm');
const skipCluster = skip || without('cluster');
/** Kinds of operators, which a plain cluster does not know. */
const FOREIGN = ['PodMonitor', 'ScaledObject'];

const folder = mkdtempSync(join(tmpdir(), 'clipflow-chart-'));
after(() => rmSync(folder, { recursive: true }));

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  data?: Record<string, string>;
  spec: {
    replicas?: number;
    template: {
      metadata: { annotations: Record<string, string> };
      spec: { containers: { args?: string[]; resources: { limits: Record<string, unknown> } }[] };
    };
  };
}

async function rendered(...args: string[]): Promise<Manifest[]> {
  const documents = parseAllDocuments(await helm('template', 'r', CHART, ...args));
  return documents.map((document) => document.toJS() as Manifest | null).filter((one) => one !== null);
}

function find(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  return manifests.find((one) => one.kind === kind && one.metadata.name === name) ?? assert.fail(`no ${kind} ${name}`);
}

describe('the chart', { skip }, () => {
  for (const values of VALUES) {
    test(`${values}: passes lint, Kubernetes' schemas, and a cluster's validation where there is one`, async (t) => {
      await helm('lint', CHART, '-f', values);
      const manifests = await rendered('-f', values, '--api-versions', 'monitoring.coreos.com/v1');
      assert.ok(manifests.length > 4);
      for (const manifest of manifests) {
        const found = violations(manifest);
        if (found) assert.deepEqual(found, [], `${manifest.kind} ${manifest.metadata.name}`);
        else {
          assert.ok(FOREIGN.includes(manifest.kind), `${manifest.kind} has no schema`);
          t.diagnostic(`${manifest.kind} is not validated: its operator's schema is not here`);
        }
      }
      if (skipCluster) return t.diagnostic(`not sent to a cluster: ${skipCluster}`);
      const file = join(folder, 'manifests.json');
      const items = manifests.filter(({ kind }) => !FOREIGN.includes(kind));
      writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
      await kubectl('apply', '--server-side', '--dry-run=server', '--field-manager=clipflow-test', '-f', file);
    });
  }

  test('a flow file is its input', async () => {
    const manifests = await rendered('--set-file', 'flow=flows/nats.yml');
    assert.equal(find(manifests, 'Deployment', 'r-clip').spec.replicas, 2);
    assert.equal(find(manifests, 'Deployment', 'r-gateway').spec.replicas, 1);
    assert.equal(find(manifests, 'Service', 'r-gateway').kind, 'Service');
  });

  test('files lie beside the flow, and a change of one starts the pods anew', async () => {
    const checksums = new Set<unknown>();
    for (const text of ['one', 'two']) {
      const manifests = await rendered('--set', `files.store\\.mjs=${text}`);
      assert.equal(find(manifests, 'ConfigMap', 'r-flow').data?.['store.mjs']?.trim(), text);
      for (const part of ['r-gateway', 'r-clip']) {
        checksums.add(find(manifests, 'Deployment', part).spec.template.metadata.annotations['checksum/flow']);
      }
    }
    assert.equal(checksums.size, 2);
  });

  test('replicas that share a GPU run in one pod', async () => {
    const manifests = await rendered('-f', `${CHART}/ci/gpu-shared-values.yaml`);
    const { spec } = find(manifests, 'Deployment', 'r-clip');
    assert.equal(spec.replicas, 4);
    const [container] = spec.template.spec.containers;
    assert.ok(container);
    assert.ok(container.args?.includes('--replicas=3'));
    assert.equal(container.resources.limits['nvidia.com/gpu'], 1);
  });

  test('an executor with a workspace gets a volume for each shard', async () => {
    const store = find(await rendered('-f', `${CHART}/ci/stateful-values.yaml`), 'StatefulSet', 'r-store');
    assert.equal(store.spec.replicas, 3);
    assert.ok(store.spec.template.spec.containers[0]?.args?.includes('--shard=$(SHARD)'));
  });

  describe('bulk jobs', () => {
    const pod = (manifest: Manifest): string => JSON.stringify(manifest.spec.template.spec);

    test('a worker that shares a volume with the gateway, and Redis', async () => {
      const manifests = await rendered('-f', `${CHART}/ci/jobs-values.yaml`);
      const worker = find(manifests, 'Deployment', 'r-worker');
      assert.equal(worker.spec.replicas, 2);
      assert.deepEqual(worker.spec.template.spec.containers[0]?.args?.slice(0, 2), [
        'worker',
        '/etc/clipflow/flow.yml',
      ]);
      for (const part of [worker, find(manifests, 'Deployment', 'r-gateway')]) {
        assert.match(pod(part), /"claimName":"r-jobs"/);
        assert.match(pod(part), /"CLIPFLOW_JOBS_FILES","value":"\/jobs"/);
        assert.match(pod(part), /"CLIPFLOW_REDIS","value":"redis:\/\/r-redis:6379"/);
      }
      assert.doesNotMatch(pod(find(manifests, 'Deployment', 'r-clip')), /r-jobs/);
      find(manifests, 'PersistentVolumeClaim', 'r-jobs');
      find(manifests, 'PodDisruptionBudget', 'r-worker');
    });

    test('S3, secrets, TLS and KEDA: no volume, and nothing secret in a manifest', async () => {
      const manifests = await rendered('-f', `${CHART}/ci/jobs-s3-values.yaml`);
      for (const part of ['r-worker', 'r-gateway']) {
        const text = pod(find(manifests, 'Deployment', part));
        assert.match(text, /"CLIPFLOW_JOBS_FILES","value":"s3:\/\/embeddings\/jobs"/);
        assert.match(text, /"name":"CLIPFLOW_REDIS","valueFrom":\{"secretKeyRef":\{"name":"redis-url","key":"url"/);
        assert.match(text, /"secretRef":\{"name":"s3-credentials"/);
        assert.match(text, /"name":"CLIPFLOW_WORKER_TOKEN","valueFrom":\{"secretKeyRef":\{"name":"r-worker"/);
        assert.doesNotMatch(text, /persistentVolumeClaim/);
      }
      const worker = pod(find(manifests, 'Deployment', 'r-worker'));
      assert.match(worker, /"CLIPFLOW_GATEWAY","value":"https:\/\/r-gateway:51000"/);
      assert.doesNotMatch(worker, /tls\.key/);
      for (const part of ['r-worker', 'r-clip']) {
        assert.match(JSON.stringify(find(manifests, 'ScaledObject', part).spec), /"queue":"bulk"/);
      }
    });

    test('an HPA scales workers, and executors where that is wanted, by what jobs have left', async () => {
      const hpa = ['--set', 'autoscaling.kind=hpa,autoscaling.metricsApi=true'];
      const values = ['-f', `${CHART}/ci/jobs-values.yaml`, ...hpa];
      const metrics = (manifests: Manifest[], part: string): number =>
        JSON.stringify(find(manifests, 'HorizontalPodAutoscaler', part).spec).split('clipflow_bulk_documents').length -
        1;
      const plain = await rendered(...values);
      assert.deepEqual([metrics(plain, 'r-worker'), metrics(plain, 'r-clip')], [1, 0]);
      assert.equal(metrics(await rendered(...values, '--set', 'autoscaling.targetBulk=5000'), 'r-clip'), 1);
    });

    test('a flow without jobs has no worker, Redis or not', async () => {
      const manifests = await rendered('--set', 'redis.enabled=true');
      assert.ok(!manifests.some(({ metadata }) => ['r-worker', 'r-jobs'].includes(metadata.name)));
    });
  });

  const bad: [title: string, args: string[], reason: RegExp][] = [
    [
      'values for an executor that is not there',
      ['--set', 'executors.clap.replicas=2'],
      /no such executor; it has: clip/,
    ],
    [
      'an executor that does not exist',
      ['--set-string', 'flow=executors: [{name: a\\, uses: ClipEncoder}]'],
      /executor "a": uses: "ClipEncoder" is none of the executors that ship/,
    ],
    [
      'a name twice',
      ['--set-string', 'flow=executors: [{name: a\\, uses: CLIPEncoder}\\, {name: a\\, uses: CLIPEncoder}]'],
      /executors\[1\]\.name: "a" is there twice/,
    ],
    ['a flow that is no YAML', ['--set-string', 'flow=a: b: c'], /flow: it is no YAML mapping/],
    [
      'replicas_per_gpu without a GPU',
      ['--set-string', 'flow=executors: [{name: a\\, uses: CLIPEncoder\\, replicas_per_gpu: 2}]'],
      /its pods have no GPU: set executors\.a\.gpu\.count/,
    ],
    ['a value of the wrong type', ['--set', 'gateway.replicas=two'], /gateway.{1,3}replicas/],
    ['a second flow.yml', ['--set', 'files.flow\\.yml=x'], /files/],
    ['a value that is unknown', ['--set', 'gatway.replicas=2'], /gatway/],
    [
      'jobs without Redis',
      ['--set-string', 'flow=with: {jobs: {}}\nexecutors: [{uses: X}]'],
      /bulk jobs need Redis: set redis\.enabled/,
    ],
    ['no NATS at all', ['--set', 'nats.enabled=false'], /nats\.url: needed where nats\.enabled is false/],
  ];
  for (const [title, args, reason] of bad) {
    test(`refuses ${title}, and says why`, async () => {
      await assert.rejects(helm('template', 'r', CHART, ...args), reason);
    });
  }
});
