import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { availableThreads, threadsPerReplica } from '../../../../executors/clip/model/threads.js';

const cores = availableParallelism();
const v2 = '0::/kubepods/pod1\n';
const v1 = '4:memory:/docker/a\n3:cpu,cpuacct:/docker/a\n';

// The files' forms: kernel.org, admin-guide/cgroup-v2 (cpu.max) and scheduler/sched-bwc (cpu.cfs_quota_us).
const cases: [string, Record<string, string>, number][] = [
  ['no cgroups', {}, cores],
  ['v2: no limit', { 'proc/self/cgroup': v2, 'sys/fs/cgroup/kubepods/pod1/cpu.max': 'max 100000\n' }, cores],
  ['v2: one CPU', { 'proc/self/cgroup': v2, 'sys/fs/cgroup/kubepods/pod1/cpu.max': '100000 100000\n' }, 1],
  ['v2: a part of one', { 'proc/self/cgroup': v2, 'sys/fs/cgroup/kubepods/pod1/cpu.max': '25000 100000\n' }, 1],
  ['v2: one and a half', { 'proc/self/cgroup': v2, 'sys/fs/cgroup/kubepods/pod1/cpu.max': '150000 100000\n' }, 1],
  ['v2: a limit of the parent', { 'proc/self/cgroup': v2, 'sys/fs/cgroup/kubepods/cpu.max': '100000 100000\n' }, 1],
  ['v2: seen at the top in the container', { 'proc/self/cgroup': v2, 'sys/fs/cgroup/cpu.max': '100000 100000\n' }, 1],
  ['v2: more than there are', { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '99900000 100000\n' }, cores],
  [
    'v1: no limit',
    {
      'proc/self/cgroup': v1,
      'sys/fs/cgroup/cpu,cpuacct/docker/a/cpu.cfs_quota_us': '-1\n',
      'sys/fs/cgroup/cpu,cpuacct/docker/a/cpu.cfs_period_us': '100000\n',
    },
    cores,
  ],
  [
    'v1: one CPU, at the top in the container',
    {
      'proc/self/cgroup': v1,
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '50000\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '50000\n',
    },
    1,
  ],
];

for (const [name, files, threads] of cases) {
  test(`availableThreads, ${name}`, async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'clipflow-cgroup-'));
    t.after(() => rm(root, { recursive: true }));
    for (const [path, content] of Object.entries(files)) {
      await mkdir(join(root, dirname(path)), { recursive: true });
      await writeFile(join(root, path), content);
    }
    assert.equal(availableThreads(root), threads);
  });
}

test('threadsPerReplica: a share, at least one', () => {
  assert.equal(threadsPerReplica(1), availableThreads());
  assert.equal(threadsPerReplica(1000), 1);
});
