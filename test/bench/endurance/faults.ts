import { setTimeout as delay } from 'node:timers/promises';
import { clipflow } from '../../support/clipflow.js';
import { FlowProcess } from '../../support/flow-process.js';
import { NatsServer } from '../../support/nats-server.js';
import { percentile } from '../../support/vectors.js';
import { MixedLoad } from './mixed-load.js';

export interface Faults {
  transport: string;
  seconds: number;
  /** What was done, by kind. */
  killed: number;
  stopped: number;
  scaled: number;
  natsRestarted: number;
  /** Documents, from the first disturbance to the last answer. */
  documents: number;
  failed: number;
  duplicated: number;
  wrong: number;
  /** Of requests, before the disturbances and meanwhile. */
  calmMs: Latencies;
  faultsMs: Latencies;
}

export interface Latencies {
  p50: number;
  p99: number;
  slowest: number;
}

const KILL_EACH_SECONDS = 5;
const NATS_EACH_KILLS = 3;

/** A flow of one replica under load whose processes are killed, stopped, added and drained. */
export async function measureFaults(transport: 'embedded' | 'nats', seconds: number): Promise<Faults> {
  await using nats = transport === 'nats' ? await NatsServer.start() : undefined;
  const name = `faults-${process.pid}`;
  await using flow = await FlowProcess.start({
    text: `with: { name: ${name} }
executors: [{ name: clip, uses: CLIPEncoder, uses_with: { name: tiny-clip, device: cpu } }]`,
    args: ['--transport', nats?.address ?? 'embedded'],
  });
  const load = new MixedLoad(new URL(flow.url).host);
  await load.learn();
  load.start();
  await delay(seconds * 250);
  const calm = load.takeLatencies();
  const before = load.answered;
  const done = { killed: 0, stopped: 0, scaled: 0, natsRestarted: 0 };
  const rounds = Math.max(4, Math.round(seconds / KILL_EACH_SECONDS));
  for (let round = 0; round < rounds; round++) {
    const next = delay(KILL_EACH_SECONDS * 1000);
    const ready = (await flow.replicas('clip')).filter(({ state }) => state === 'ready');
    const victim = ready[Math.floor(Math.random() * ready.length)];
    if (victim) {
      const stops = round === 2;
      process.kill(victim.pid, stops ? 'SIGSTOP' : 'SIGKILL');
      done[stops ? 'stopped' : 'killed'] += 1;
      if (stops) setTimeout(() => process.kill(victim.pid, 'SIGCONT'), 2 * KILL_EACH_SECONDS * 1000).unref();
    }
    if (round === 1 || round === rounds - 2) {
      await clipflow('scale', `clip=${round === 1 ? 4 : 1}`, '--flow', name);
      done.scaled += 1;
    }
    if (nats && round % NATS_EACH_KILLS === NATS_EACH_KILLS - 1) {
      await nats.stop();
      await nats.start();
      done.natsRestarted += 1;
    }
    await next;
  }
  await load.stop();
  const { duplicated, wrong, failures } = load;
  for (const failure of new Set(failures)) console.error(`failed: ${failure}`);
  return {
    transport,
    seconds,
    ...done,
    documents: load.answered - before,
    failed: failures.length,
    duplicated,
    wrong,
    calmMs: latencies(calm),
    faultsMs: latencies(load.latenciesMs),
  };
}

function latencies(ms: readonly number[]): Latencies {
  return { p50: percentile(ms, 0.5), p99: percentile(ms, 0.99), slowest: percentile(ms, 1) };
}
