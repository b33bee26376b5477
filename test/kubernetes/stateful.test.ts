import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Release, isReady, skipRelease } from './release.js';

const FLOW = {
  executors: [
    {
      name: 'store',
      uses: './store.mjs',
      workspace: '/workspace',
      shards: 3,
      polling: { '/index': 'ANY', '/search': 'ALL' },
    },
  ],
};
const FILE = 'test/fixtures/kubernetes/store.mjs';
const DOCUMENTS = Array.from({ length: 60 }, (_, i) => `doc-${i}`);

interface Match {
  id: string;
  tags: { shard: number };
}

async function post(address: string, path: string, ids: readonly string[]): Promise<{ matches?: Match[] }[]> {
  const answer = await fetch(`${address}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ data: ids.map((id) => ({ id, text: id })) }),
  });
  const { header, data } = (await answer.json()) as { header: { status: unknown }; data: { matches?: Match[] }[] };
  assert.equal(header.status, null);
  return data;
}

/** Ids by the shard that keeps them. */
async function stored(address: string): Promise<Map<number, string[]>> {
  const [query] = await post(address, '/search', ['query']);
  const shards = new Map<number, string[]>();
  for (const { id, tags } of query?.matches ?? [])
    shards.set(tags.shard, [...(shards.get(tags.shard) ?? []), id].sort());
  return shards;
}

describe('an executor with a workspace on Kubernetes', { skip: skipRelease }, () => {
  test(
    'each shard has its volume; what it keeps is there again after its pod was deleted',
    { timeout: 240_000 },
    async (t) => {
      await using release = await Release.create();
      await release.installed('--set-json', `flow=${JSON.stringify(FLOW)}`, '--set-file', `files.store\\.mjs=${FILE}`);
      const claims = await release.kubectl(
        'get',
        'pvc',
        '-o',
        'jsonpath={range .items[*]}{.metadata.name}={.status.phase} {end}',
      );
      assert.deepEqual(
        claims.trim().split(' '),
        [0, 1, 2].map((shard) => `workspace-x-store-${shard}=Bound`),
      );

      await using gateway = await release.gateway();
      const { address } = gateway;
      for (const id of DOCUMENTS) await post(address, '/index', [id]);
      const before = await stored(address);
      assert.deepEqual([...before.values()].flat().sort(), [...DOCUMENTS].sort());
      assert.deepEqual([...before.keys()].sort(), [0, 1, 2]);

      const old = await release.pods('store');
      const deleted = performance.now();
      await release.kubectl('delete', ...old.map(({ metadata }) => `pod/${metadata.name}`));
      const uids = new Set(old.map(({ metadata }) => metadata.uid));
      await release.podsWhen(
        'store',
        (pods) => pods.length === 3 && pods.every((pod) => isReady(pod) && !uids.has(pod.metadata.uid)),
        'three new ones are ready',
      );
      t.diagnostic(
        `three new pods ready ${Math.round((performance.now() - deleted) / 1000)} s after the old were deleted`,
      );
      assert.deepEqual(await stored(address), before);
    },
  );
});
