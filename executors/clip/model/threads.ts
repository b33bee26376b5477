import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * Whole CPUs that this process may use: the cores it may be scheduled on, or the CPU quota of its container (cgroup v1
 * or v2) if that is less.
 * @param root where the system's `proc` and `sys` lie. @default '/'
 */
export function availableThreads(root = '/'): number {
  return Math.max(1, Math.min(availableParallelism(), Math.floor(cpuQuota(root))));
}

/** Threads for the session of each of `replicas` that share this machine. */
export function threadsPerReplica(replicas: number): number {
  return Math.max(1, Math.floor(availableThreads() / replicas));
}

/** CPU time per time that the cgroups allow; infinite without a limit. */
function cpuQuota(root: string): number {
  const quotas: number[] = [];
  // Lines `hierarchy:controllers:path`; the one of cgroup v2 names no controllers.
  for (const line of read(root, 'proc/self/cgroup').split('\n')) {
    const [, controllers, path = '/'] = line.split(':');
    if (controllers === '') {
      for (const group of ancestry(path)) quotas.push(quotaV2(read(root, 'sys/fs/cgroup', group, 'cpu.max')));
    } else if (controllers?.split(',').includes('cpu')) {
      for (const group of ancestry(path)) quotas.push(quotaV1(root, join('sys/fs/cgroup', controllers, group)));
    }
  }
  return Math.min(...quotas);
}

/**
 * A group and those above it, whose limits hold too. Inside a container the path may be that of the host while the
 * files lie at the top.
 */
function ancestry(group: string): string[] {
  const parent = dirname(group);
  return parent === group ? [group] : [group, ...ancestry(parent)];
}

/** `max 100000` or `150000 100000`: microseconds of CPU time in each period. */
function quotaV2(cpuMax: string): number {
  const [quota, period] = cpuMax.trim().split(' ').map(Number);
  return quota && period ? quota / period : Infinity;
}

function quotaV1(root: string, folder: string): number {
  const quota = Number(read(root, folder, 'cpu.cfs_quota_us')); // -1: no limit
  const period = Number(read(root, folder, 'cpu.cfs_period_us'));
  return quota > 0 && period > 0 ? quota / period : Infinity;
}

function read(...path: string[]): string {
  try {
    return readFileSync(join(...path), 'utf8');
  } catch {
    return ''; // not on this system, or not mounted in this container
  }
}
