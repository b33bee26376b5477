import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CHART, kubectl, without } from './commands.js';
import { Release, isReady, skipRelease, type Pod } from './release.js';

/** Fake nodes of kwok, with 8 GPUs each: pods are placed on them and pretend to run. */
const FAKE_NODES = ['fake1', 'fake2'];
const skip = skipRelease || without('fake GPU nodes');

/** Values of an executor on fake GPUs. */
function values(gpu: object, more: { replicas?: number; replicas_per_gpu?: number } = {}): string[] {
  const flow = { executors: [{ name: 'clip', uses: 'CLIPEncoder', uses_with: { device: 'cuda' }, ...more }] };
  const tolerations = [{ key: 'kwok.x-k8s.io/node', operator: 'Exists' }];
  return [
    '--set-json',
    `flow=${JSON.stringify(flow)}`,
    '--set-json',
    `executors.clip=${JSON.stringify({ gpu, tolerations })}`,
  ];
}

/** Makes a node offer `count` of a resource; none with `undefined`. */
async function offer(node: string, resource: string, count?: number): Promise<void> {
  const name = resource.replace('/', '~1');
  const patch = ['capacity', 'allocatable'].map((list) => {
    const path = `/status/${list}/${name}`;
    return count === undefined ? { op: 'remove', path } : { op: 'add', path, value: String(count) };
  });
  await kubectl('patch', 'node', node, '--subresource=status', '--type=json', '-p', JSON.stringify(patch));
}

function podsByNode(pods: readonly Pod[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { spec } of pods)
    if (spec.nodeName !== undefined) counts[spec.nodeName] = (counts[spec.nodeName] ?? 0) + 1;
  return counts;
}

/** Why a pod is on no node; undefined where it is on one. */
function unschedulable({ status }: Pod): string | undefined {
  return status.conditions?.find(({ reason }) => reason === 'Unschedulable')?.message;
}

describe('GPUs on Kubernetes', { skip }, () => {
  test('each pod gets its GPU and runs three processes on it; pods are spread, until no GPU is free', async (t) => {
    await using release = await Release.create();
    const cache = ['--set', 'models.pull=null,models.cache.enabled=false'];
    await release.install('-f', `${CHART}/ci/gpu-shared-values.yaml`, ...cache);
    const pods = await release.podsWhen('clip', (some) => some.length === 4 && some.every(isReady), 'four are ready');
    assert.deepEqual(podsByNode(pods), { fake1: 2, fake2: 2 });
    for (const { spec } of pods) {
      const [container] = spec.containers;
      assert.equal(container?.resources.limits['nvidia.com/gpu'], '1');
      assert.equal(container.resources.requests['nvidia.com/gpu'], '1');
      assert.ok(container.args.includes('--replicas=3'));
    }
    await release.kubectl('scale', 'deployment/x-clip', '--replicas=17');
    const full = await release.podsWhen(
      'clip',
      (some) => some.filter(isReady).length === 16 && some.some((pod) => unschedulable(pod) !== undefined),
      '16 of 17 are ready',
    );
    assert.deepEqual(podsByNode(full), { fake1: 8, fake2: 8 });
    const reasons = full.map(unschedulable).filter((reason) => reason !== undefined);
    assert.equal(reasons.length, 1);
    assert.match(reasons[0] ?? '', /3 Insufficient nvidia\.com\/gpu/);
    t.diagnostic(`17 pods on 16 GPUs: ${JSON.stringify(podsByNode(full))}, one waits: ${reasons[0]}`);
  });

  for (const [resource, offered] of [
    ['nvidia.com/gpu.shared', 4],
    ['nvidia.com/mig-1g.5gb', 7],
  ] as const) {
    describe(resource, () => {
      before(() => offer('fake2', resource, offered));
      after(() => offer('fake2', resource));

      test('pods go where it is offered, and take one each', async () => {
        await using release = await Release.create();
        await release.install(...values({ count: 1, resource }, { replicas: offered + 1 }));
        const pods = await release.podsWhen(
          'clip',
          (some) => some.filter(isReady).length === offered && some.some((pod) => unschedulable(pod) !== undefined),
          `${offered} are ready`,
        );
        assert.deepEqual(podsByNode(pods), { fake2: offered });
        assert.deepEqual(pods[0]?.spec.containers[0]?.resources.limits[resource], '1');
      });
    });
  }

  test('more GPUs than a node has: the pod waits, and says for what', async (t) => {
    await using release = await Release.create();
    await assert.rejects(release.install('--wait', '--timeout=3s', ...values({ count: 9 })), /deadline exceeded/);
    const [pod] = await release.podsWhen('clip', ([first]) => first?.status.conditions !== undefined, 'one is there');
    assert.ok(pod);
    assert.equal(pod.status.phase, 'Pending');
    assert.match(unschedulable(pod) ?? '', /3 Insufficient nvidia\.com\/gpu/);
    t.diagnostic(unschedulable(pod) ?? '');
  });

  test('more GPUs than a node has, with checkNodes: the install fails at once and says why', async () => {
    await using release = await Release.create();
    await assert.rejects(
      release.install(...values({ count: 9, checkNodes: true })),
      /executors\.clip\.gpu: each pod asks for 9 nvidia\.com\/gpu, and the most that a node of this cluster has is 8/,
    );
    await release.install(...values({ count: 8, checkNodes: true }));
  });

  test('a taint that is not tolerated keeps pods off its node', async () => {
    await using release = await Release.create();
    await release.install(...values({ count: 1 }), '--set-json', 'executors.clip.tolerations=[]');
    const [pod] = await release.podsWhen('clip', ([first]) => first?.status.conditions !== undefined, 'one is there');
    assert.ok(pod);
    assert.match(unschedulable(pod) ?? '', /2 node\(s\) had untolerated taint/);
  });

  test('three replicas of one pod really run and answer', { timeout: 120_000 }, async () => {
    const { items } = JSON.parse(await kubectl('get', 'nodes', '-o', 'json')) as {
      items: { metadata: { name: string } }[];
    };
    const node = items.map(({ metadata }) => metadata.name).find((name) => !FAKE_NODES.includes(name));
    assert.ok(node);
    await offer(node, 'nvidia.com/gpu', 1);
    try {
      await using release = await Release.create();
      const flow = {
        executors: [{ name: 'clip', uses: 'CLIPEncoder', uses_with: { device: 'cpu' }, replicas_per_gpu: 3 }],
      };
      await release.installed('--set-json', `flow=${JSON.stringify(flow)}`, '--set', 'executors.clip.gpu.count=1');
      await using gateway = await release.gateway();
      const answer = await fetch(`${gateway.address}/status`);
      const { executors } = (await answer.json()) as {
        executors: { replicas: { host: string; pid: number; state: string }[] }[];
      };
      const replicas = executors[0]?.replicas ?? [];
      const [pod] = await release.pods('clip');
      assert.deepEqual(
        replicas.map(({ host, state }) => [host, state]),
        Array<unknown>(3).fill([pod?.metadata.name, 'ready']),
      );
      assert.equal(new Set(replicas.map(({ pid }) => pid)).size, 3);
    } finally {
      await offer(node, 'nvidia.com/gpu');
    }
  });
});
