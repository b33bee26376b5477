import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { CHART, helm, kubectl, without } from './commands.js';
import { LOAD } from './load-pod.js';

/** An image of this checkout that the cluster has; docker/ says how one is made. */
const IMAGE = process.env.CLIPFLOW_TEST_IMAGE ?? '';
const NAMESPACE = `clipflow-test-${process.pid}`;
const skip = without('helm') || without('cluster') || (IMAGE === '' && 'CLIPFLOW_TEST_IMAGE names no image');

interface Counts {
  grpc: number;
  http: number;
  failures: string[];
  done?: boolean;
}

const inside = (...args: string[]): Promise<string> => kubectl('--namespace', NAMESPACE, ...args);

async function rolledOut(...deployments: string[]): Promise<void> {
  for (const one of deployments) await inside('rollout', 'status', `deployment/${one}`, '--timeout=120s');
}

/** Clients in a pod of their own, as clients are. */
class LoadPod {
  static async start(): Promise<LoadPod> {
    const overrides = {
      spec: {
        securityContext: { runAsUser: 1000, runAsNonRoot: true },
        containers: [
          {
            name: 'load',
            image: IMAGE,
            command: ['node', '--input-type=module', '--eval', LOAD],
            env: [{ name: 'GATEWAY', value: 'x-gateway:51000' }],
          },
        ],
      },
    };
    await inside('run', 'load', `--image=${IMAGE}`, '--restart=Never', `--overrides=${JSON.stringify(overrides)}`);
    const load = new LoadPod();
    await load.untilAnswered(50);
    return load;
  }

  /** Of both protocols, from now on. */
  async untilAnswered(more: number): Promise<void> {
    const before = await this.#counts();
    for (;;) {
      const { grpc, http, failures } = await this.#counts();
      assert.deepEqual(failures, []);
      if (grpc >= before.grpc + more && http >= before.http + more) return;
      await delay(200);
    }
  }

  async stop(): Promise<Counts> {
    await inside('exec', 'load', '--', 'node', '--eval', "require('fs').writeFileSync('/tmp/stop', '')");
    for (;;) {
      const counts = await this.#counts();
      if (counts.done) return counts;
      await delay(200);
    }
  }

  async #counts(): Promise<Counts> {
    const lines = await inside('logs', 'load', '--tail=1').catch(() => '');
    return lines.startsWith('{') ? (JSON.parse(lines) as Counts) : { grpc: 0, http: 0, failures: [] };
  }
}

/** Documents that each replica's own metrics count. */
async function documentsByPod(): Promise<number[]> {
  const selector = 'app.kubernetes.io/component=clip';
  const pods = (await inside('get', 'pods', '-l', selector, '-o', 'name')).trim().split('\n');
  const script = "fetch('http://localhost:9090/metrics').then((a) => a.text()).then((t) => console.log(t))";
  return Promise.all(
    pods.map(async (pod) => {
      const metrics = await inside('exec', pod, '--', 'node', '--eval', script);
      const counts = [...metrics.matchAll(/^clipflow_executor_documents_total\{.*\} (\d+)$/gm)];
      return counts.reduce((sum, [, count]) => sum + Number(count), 0);
    }),
  );
}

/** Resolves when the executor's Deployment wants so many pods and has them. */
async function scaledTo(replicas: number): Promise<void> {
  for (;;) {
    const status = await inside('get', 'deployment/x-clip', '-o', 'jsonpath={.spec.replicas} {.status.readyReplicas}');
    if (status === `${replicas} ${replicas}`) return;
    await delay(500);
  }
}

async function install(...values: string[]): Promise<void> {
  const [repository = '', tag = ''] = IMAGE.split(':');
  const image = ['--set', `image.repository=${repository},image.tag=${tag}`];
  await helm('install', 'x', CHART, '--namespace', NAMESPACE, '--wait', '--timeout=180s', ...image, ...values);
}

describe('on Kubernetes', { skip }, () => {
  before(async () => {
    await kubectl('create', 'namespace', NAMESPACE);
    await kubectl('label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/warn=restricted');
  });
  after(async () => {
    await helm('uninstall', 'x', '--namespace', NAMESPACE, '--ignore-not-found').catch(() => {});
    await kubectl('delete', 'namespace', NAMESPACE, '--wait=false');
  });

  test('installed, scaled, rolled out and killed under load: no request fails', { timeout: 400_000 }, async (t) => {
    const installed = performance.now();
    await install();
    t.diagnostic(`installed in ${Math.round((performance.now() - installed) / 1000)} s`);
    await helm('test', 'x', '--namespace', NAMESPACE, '--timeout=60s');

    const load = await LoadPod.start();
    await inside('scale', 'deployment/x-clip', '--replicas=3');
    await rolledOut('x-clip');
    await load.untilAnswered(200);
    const documents = await documentsByPod();
    t.diagnostic(`documents by replica: ${documents.join(', ')}`);
    assert.equal(documents.length, 3);
    assert.ok(documents.every((count) => count > 0));
    await inside('scale', 'deployment/x-clip', '--replicas=1');
    await load.untilAnswered(50);

    await inside('rollout', 'restart', 'deployment/x-gateway', 'deployment/x-clip');
    await rolledOut('x-gateway', 'x-clip');
    await load.untilAnswered(50);

    await inside('scale', 'deployment/x-clip', '--replicas=2');
    await rolledOut('x-clip');
    await inside(
      'delete',
      'pod',
      '-l',
      'app.kubernetes.io/component=clip',
      '--wait=false',
      '--grace-period=0',
      '--force',
    );
    await rolledOut('x-clip');
    await load.untilAnswered(50);
    const { grpc, http, failures } = await load.stop();
    t.diagnostic(`${grpc} requests over gRPC and ${http} over HTTP answered, ${failures.length} failed`);
    assert.deepEqual(failures, []);
    await helm('uninstall', 'x', '--namespace', NAMESPACE, '--wait');
    await inside('delete', 'pod', 'load', '--grace-period=0', '--force');
  });

  test('a plain HPA on our own metrics API: 1 -> 3 -> 1 with the load', { timeout: 400_000 }, async (t) => {
    const settings = 'kind=hpa,metricsApi=true,max=3,targetOngoing=2,upSeconds=0,downSeconds=5';
    await install('--set', settings.replace(/(\w+)=/g, 'autoscaling.$1='));
    await scaledTo(1);
    const load = await LoadPod.start();
    const started = performance.now();
    await scaledTo(3);
    t.diagnostic(`three replicas ${Math.round((performance.now() - started) / 1000)} s after the load began`);
    const { failures } = await load.stop();
    assert.deepEqual(failures, []);
    await scaledTo(1);
  });
});
