import { spawnSync } from 'node:child_process';

/** GPUs of this machine as CUDA numbers them; none where there is no NVIDIA driver. */
export function findGpus(): number[] {
  const { status, stdout } = spawnSync('nvidia-smi', ['--query-gpu=index', '--format=csv,noheader'], {
    encoding: 'utf8',
  });
  if (status !== 0) return [];
  return stdout
    .split('\n')
    .filter((line) => /^\d+$/.test(line.trim()))
    .map(Number);
}
