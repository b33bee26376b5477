import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { clipflow } from '../support/clipflow.js';
import { ROOT } from '../support/flow-process.js';
import { CHART, helm, kubectl, without } from './commands.js';
import { violations } from './schemas.js';

const folder = mkdtempSync(join(tmpdir(), 'clipflow-export-'));
after(() => rmSync(folder, { recursive: true }));

const FLOW = join(ROOT, 'flows', 'nats.yml');

const JOBS_FLOW = join(folder, 'bulk-flow.yml');
writeFileSync(
  JOBS_FLOW,
  `with: { name: bulk, redis: 'redis://redis.example:6379', jobs: { workers: 2 } }
executors: [{ name: clip, uses: CLIPEncoder }]
`,
);

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  spec?: object;
  data?: object;
}

function manifests(yaml: string): Manifest[] {
  return parseAllDocuments(yaml).map((document) => document.toJS() as Manifest);
}

/** Without what only tells who made it. */
function essence({ kind, metadata: { name }, spec, data }: Manifest): [string, unknown] {
  const text = JSON.stringify({ spec, data }, (key, value: unknown) => {
    if (key === 'annotations' || key === 'app.kubernetes.io/version' || key === 'helm.sh/chart') return undefined;
    return key === 'app.kubernetes.io/managed-by' ? undefined : value;
  });
  return [`${kind} ${name}`, JSON.parse(text)];
}

describe('clipflow export', () => {
  test('kubernetes: what is in k8s/base is what it makes', async () => {
    const output = join(folder, 'base');
    await clipflow('export', 'kubernetes', FLOW, '-o', output);
    const base = join(ROOT, 'k8s', 'base');
    assert.deepEqual(readdirSync(output).sort(), readdirSync(base).sort());
    for (const file of readdirSync(base)) {
      assert.equal(readFileSync(join(output, file), 'utf8'), readFileSync(join(base, file), 'utf8'), file);
    }
  });

  test('kubernetes: the same objects as the chart makes of the flow', { skip: without('helm') }, async () => {
    const chart = manifests(await helm('template', 'nats', CHART, '--set-file', 'flow=flows/nats.yml'));
    const exported = manifests(await clipflow('export', 'kubernetes', FLOW));
    const ofChart = new Map(chart.filter(({ kind }) => kind !== 'Pod').map(essence));
    // Two replicas are protected from a drain by the chart alone.
    ofChart.delete('PodDisruptionBudget nats-clip');
    const plain = new Map(exported.filter(({ kind }) => kind !== 'Kustomization').map(essence));
    assert.deepEqual([...plain.keys()].sort(), [...ofChart.keys()].sort());
    for (const [name, object] of plain) assert.deepEqual(object, ofChart.get(name), name);
  });

  test('kubernetes: the same with bulk jobs', { skip: without('helm') }, async () => {
    const chart = manifests(await helm('template', 'bulk', CHART, '--set-file', `flow=${JOBS_FLOW}`));
    const ofChart = new Map(chart.filter(({ kind }) => kind !== 'Pod').map(essence));
    ofChart.delete('PodDisruptionBudget bulk-worker');
    const exported = manifests(await clipflow('export', 'kubernetes', JOBS_FLOW));
    const plain = exported.filter(({ kind }) => kind !== 'Kustomization');
    for (const object of plain) assert.deepEqual(violations(object), [], object.metadata.name);
    assert.deepEqual(Object.fromEntries(plain.map(essence)), Object.fromEntries(ofChart));
    assert.ok(ofChart.has('Deployment bulk-worker') && ofChart.has('PersistentVolumeClaim bulk-jobs'));
  });

  test("kubernetes: what it makes is valid by Kubernetes' own schemas", async () => {
    const exported = manifests(await clipflow('export', 'kubernetes', FLOW));
    const objects = exported.filter(({ kind }) => kind !== 'Kustomization');
    assert.ok(objects.length > 4);
    for (const object of objects) assert.deepEqual(violations(object), [], object.metadata.name);
  });

  test('kubernetes: a cluster takes it, overlay and all', { skip: without('cluster') }, async () => {
    await kubectl('apply', '--server-side', '--dry-run=server', '-k', join(ROOT, 'k8s/overlays/scaled'));
  });

  test('refuses what cannot run, and says why', async () => {
    const file = join(ROOT, 'flows/examples/branches.yml');
    await clipflow('export', 'kubernetes', file);
    const wrong = join(folder, 'wrong.yml');
    writeFileSync(wrong, 'executors: [{name: a, uses: ClipEncoder}]');
    await assert.rejects(clipflow('export', 'kubernetes', wrong), /executor "a": uses: "ClipEncoder" is none of the/);
    writeFileSync(wrong, 'executors: [{name: a, uses: ./missing.mjs}]');
    await assert.rejects(clipflow('export', 'compose', wrong), /executor "a": uses: ".\/missing.mjs": there is no/);
    writeFileSync(wrong, 'executors: [{name: a, uses: CLIPEncoder}, {name: a, uses: CLIPEncoder}]');
    await assert.rejects(clipflow('export', 'compose', wrong), /"a" is the name of executors\[0\] already/);
    writeFileSync(wrong, 'executors: [{name: a, uses: CLIPEncoder, replicas: 7, replicas_per_gpu: 3}]');
    await assert.rejects(
      clipflow('export', 'kubernetes', wrong, '--plan', '--gpus', '2'),
      /puts 4 replicas on one GPU, but replicas_per_gpu is 3/,
    );
    const jobs = join(folder, 'jobs-without-redis.yml');
    writeFileSync(jobs, 'with: { jobs: {} }\nexecutors: [{ uses: CLIPEncoder, name: clip }]\n');
    await assert.rejects(clipflow('export', 'kubernetes', jobs), /jobs: set `redis` in the flow too/);
    await assert.rejects(clipflow('export', 'kubernetis', file), /expected one of kubernetes, compose, flowchart/);
  });

  test('compose: every part, on one NATS', async () => {
    const output = join(folder, 'compose');
    await clipflow('export', 'compose', FLOW, '-o', output);
    const { services } = parse(readFileSync(join(output, 'compose.yml'), 'utf8')) as {
      services: Record<string, { environment?: Record<string, string>; deploy?: { replicas: number } }>;
    };
    assert.deepEqual(Object.keys(services).sort(), ['clip', 'gateway', 'grafana', 'nats', 'prometheus', 'redis']);
    assert.equal(services.clip?.deploy?.replicas, 2);
    for (const part of ['gateway', 'clip']) {
      assert.equal(services[part]?.environment?.CLIPFLOW_TRANSPORT, 'nats://nats:4222');
    }
    assert.equal(readFileSync(join(output, 'flow.yml'), 'utf8'), readFileSync(FLOW, 'utf8'));
  });

  test('compose: workers of bulk jobs, on one volume with the gateway', async () => {
    const output = join(folder, 'compose-jobs');
    await clipflow('export', 'compose', JOBS_FLOW, '-o', output);
    const { services, volumes } = parse(readFileSync(join(output, 'compose.yml'), 'utf8')) as {
      services: Record<string, { environment?: Record<string, string>; volumes?: string[] } | undefined>;
      volumes: object;
    };
    assert.equal(services.worker?.environment?.CLIPFLOW_GATEWAY, 'http://gateway:51000');
    for (const part of ['gateway', 'worker']) {
      assert.equal(services[part]?.environment?.CLIPFLOW_JOBS_FILES, '/jobs');
      assert.ok(services[part]?.volumes?.includes('jobs:/jobs'));
    }
    assert.ok(!services.clip?.volumes?.includes('jobs:/jobs'));
    assert.deepEqual(Object.keys(volumes), ['redis', 'jobs']);
  });

  test('flowchart: every executor, and the way between them', async () => {
    const chart = await clipflow('export', 'flowchart', join(ROOT, 'flows/examples/branches.yml'));
    const arrows = [...chart.matchAll(/^ {2}(\S+) --> (\S+?)(?:\(.*)?$/gm)].map(([, from, to]) => `${from} ${to}`);
    assert.deepEqual(arrows.sort(), [
      'executor_images executor_joined',
      'executor_joined answer',
      'executor_texts executor_joined',
      'gateway executor_images',
      'gateway executor_texts',
    ]);
  });

  test('--plan: who runs where', async () => {
    assert.match(await clipflow('export', 'kubernetes', FLOW, '--plan'), /^process {2}GPU\ngateway\nclip\/rep-0 /);
  });
});
