import { setTimeout as delay } from 'node:timers/promises';
import { FlowProcess } from '../../support/flow-process.js';
import { NatsServer } from '../../support/nats-server.js';
import { GrpcClient } from '../../support/wire-clients.js';
import { COLLECTS_ON_SIGNAL, collectGarbage, memoryMiB } from './memory.js';
import { MixedLoad } from './mixed-load.js';

/** Memory of one process in MiB. */
export interface Soak {
  transport: string;
  minutes: number;
  process: string;
  /** After the warm-up. */
  early: Extremes;
  late: Extremes;
  /** What it came back to late over what it came back to early, less 1. */
  growth: number;
  documents: number;
  failed: number;
  /** From the start, one each `SAMPLE_MS`. */
  samples: number[];
}

/**
 * Memory rises until a garbage collection and falls: what a process comes back to tells whether something leaks, and
 * wherever a window of seconds happens to lie would not. Node processes are made to collect in both windows.
 */
export interface Extremes {
  least: number;
  most: number;
}

/** Share of the time in which caches and pools fill. */
const WARM_UP = 0.2;
const SAMPLE_MS = 2000;
const COLLECT_EACH_SAMPLES = 10;

/** Mixed load for minutes, with callers that come, go, cancel and send nonsense; how much memory each process has. */
export async function soak(transport: 'embedded' | 'nats', minutes: number): Promise<Soak[]> {
  await using nats = transport === 'nats' ? await NatsServer.start() : undefined;
  await using flow = await FlowProcess.start({
    text: `with: { name: soak-${process.pid} }
executors: [{ name: clip, uses: CLIPEncoder, uses_with: { name: tiny-clip, device: cpu }, replicas: 2 }]`,
    args: ['--transport', nats?.address ?? 'embedded', '--log-level', 'warn'],
    env: COLLECTS_ON_SIGNAL,
  });
  const pids = new Map([['supervisor', flow.child.pid ?? NaN]]);
  const { jina } = (await (await fetch(`${flow.url}/status`)).json()) as { jina: { pid: string } };
  pids.set('gateway', Number(jina.pid));
  (await flow.replicas('clip')).forEach(({ pid }, index) => pids.set(`replica ${index}`, pid));
  const collecting = [...pids.values()];
  if (nats?.pid !== undefined) pids.set('nats-server', nats.pid);

  const load = new MixedLoad(new URL(flow.url).host);
  await load.learn();
  load.start();
  const samples = new Map([...pids.keys()].map((name): [string, number[]] => [name, []]));
  const end = performance.now() + minutes * 60_000;
  for (let sample = 1; performance.now() < end; sample++) {
    if (sample % COLLECT_EACH_SAMPLES === 0) collecting.forEach(collectGarbage);
    await misbehave(new URL(flow.url).port);
    for (const [name, pid] of pids) samples.get(name)?.push(memoryMiB(pid));
    await delay(SAMPLE_MS);
  }
  await load.stop();
  for (const failure of new Set(load.failures)) console.error(`failed: ${failure}`);
  return [...samples].map(([name, values]) => {
    const early = extremes(values, WARM_UP, (1 + WARM_UP) / 2);
    const late = extremes(values, (1 + WARM_UP) / 2, 1);
    const growth = late.least / early.least - 1;
    const counts = { documents: load.answered, failed: load.failures.length };
    return { transport, minutes, process: name, early, late, growth, ...counts, samples: values };
  });
}

/** Of the samples between two shares of the time. */
function extremes(samples: readonly number[], from: number, to: number): Extremes {
  const window = samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to));
  return { least: Math.min(...window), most: Math.max(...window) };
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
