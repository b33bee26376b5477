import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { FlowProcess } from '../../support/flow-process.js';
import { NatsServer } from '../../support/nats-server.js';
import { median } from '../../support/vectors.js';
import { GrpcClient } from '../../support/wire-clients.js';
import { MixedLoad } from './mixed-load.js';

/** Memory of one process in MiB: medians of a tenth of the time each. */
export interface Soak {
  transport: string;
  minutes: number;
  process: string;
  /** At a fifth of the time, when caches and pools are full; in the middle; at the end. */
  warm: number;
  middle: number;
  end: number;
  /** End over warm, less 1. */
  growth: number;
  documents: number;
  failed: number;
}

const SAMPLE_MS = 2000;

/** Mixed load for minutes, with callers that come, go, cancel and send nonsense; how much memory each process has. */
export async function soak(transport: 'embedded' | 'nats', minutes: number): Promise<Soak[]> {
  await using nats = transport === 'nats' ? await NatsServer.start() : undefined;
  await using flow = await FlowProcess.start({
    text: `with: { name: soak-${process.pid} }
executors: [{ name: clip, uses: CLIPEncoder, uses_with: { name: tiny-clip, device: cpu }, replicas: 2 }]`,
    args: ['--transport', nats?.address ?? 'embedded', '--log-level', 'warn'],
  });
  const pids = new Map([['supervisor', flow.child.pid ?? NaN]]);
  const { jina } = (await (await fetch(`${flow.url}/status`)).json()) as { jina: { pid: string } };
  pids.set('gateway', Number(jina.pid));
  (await flow.replicas('clip')).forEach(({ pid }, index) => pids.set(`replica ${index}`, pid));
  if (nats?.pid !== undefined) pids.set('nats-server', nats.pid);

  const load = new MixedLoad(new URL(flow.url).host);
  await load.learn();
  load.start();
  const samples = new Map([...pids.keys()].map((name): [string, number[]] => [name, []]));
  const end = performance.now() + minutes * 60_000;
  while (performance.now() < end) {
    await misbehave(new URL(flow.url).port);
    for (const [name, pid] of pids) samples.get(name)?.push(memoryMiB(pid));
    await delay(SAMPLE_MS);
  }
  await load.stop();
  for (const failure of new Set(load.failures)) console.error(`failed: ${failure}`);
  return [...samples].map(([name, values]) => {
    const at = (share: number): number => {
      const from = Math.floor(values.length * share);
      return median(values.slice(from, from + Math.max(1, Math.floor(values.length / 10))));
    };
    const [warm, middle, last] = [at(0.2), at(0.5), at(0.9)];
    const counts = { documents: load.answered, failed: load.failures.length };
    return { transport, minutes, process: name, warm, middle, end: last, growth: last / warm - 1, ...counts };
  });
}

/** A caller that leaves in the middle of a call, and one that sends what is no request and no picture. */
async function misbehave(port: string): Promise<void> {
  using leaving = new GrpcClient(Number(port));
  leaving.open().cancel();
  using confused = new GrpcClient(Number(port));
  await confused.stream([Buffer.from('no protobuf at all')]);
  await fetch(`http://127.0.0.1:${port}/post`, {
    method: 'POST',
    body: JSON.stringify({ exec_endpoint: '/encode', data: [{ blob: 'bm8gcGljdHVyZQ==' }, { text: 'a red circle' }] }),
  }).then((answer) => answer.json());
  await fetch(`http://127.0.0.1:${port}/metrics`).then((answer) => answer.text());
}

/** Proportional set size, so that what processes share counts once (Linux). */
function memoryMiB(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1]) / 1024;
}
