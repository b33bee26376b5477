import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PACKAGE_ROOT } from '../../../src/version.js';
import { FlowProcess } from '../../support/flow-process.js';
import { RedisServer } from '../../support/redis-server.js';
import { median, percentile } from '../../support/vectors.js';
import { ContenderProcess } from '../stack/contender.js';
import { BATCH } from '../stack/sides.js';
import { BulkLoad } from './bulk-load.js';

export interface BulkEffort {
  /** Rounds of an idle leg, one beside bulk work, and one of bulk work alone. */
  rounds: number;
  /** Interactive requests of a leg. */
  singles: number;
  /** How long bulk work is measured alone. */
  bulkSeconds: number;
}

/** Figures that belong together stand at the same index: one for each round. */
export interface BulkBeside {
  model: string;
  /** Interactive requests of a leg. */
  singles: number;
  /** Latency of interactive requests while nothing else is asked, and while a job is done. */
  idleMs: Latencies;
  besideMs: Latencies;
  /** Medians of the rounds' beside / idle. */
  ratioP50: number;
  ratioP99: number;
  /** Documents per second of the job: while nothing else is asked, and beside the interactive requests. */
  bulkAlone: number[];
  bulkBeside: number[];
}

export interface Latencies {
  p50: number[];
  p99: number[];
}

/** Rest between an answer and the next request. */
const PAUSE_MS = 5;
/** After interactive requests, until bulk work takes all again. */
const CALM_AGAIN_MS = 6000;
/** Both loads together before anything is measured. */
const WARM_UP_SINGLES = 500;
/** More than one leg can do; writing them down takes a moment. */
const JOB_DOCUMENTS = 60_000;

/** Interactive requests, one at a time, with and without a job that takes all that the replica has left. */
export async function measureBulk(model: string, { rounds, singles, bulkSeconds }: BulkEffort): Promise<BulkBeside> {
  const files = mkdtempSync(join(tmpdir(), 'clipflow-bulk-'));
  try {
    await using redis = await RedisServer.start();
    await using flow = await FlowProcess.start({
      text: flowText(model, redis.url, files),
      args: ['--log-level', 'warn'],
    });
    await using client = await ContenderProcess.start({ kind: 'grpc', url: flow.url });
    const bulk = new BulkLoad(flow, JOB_DOCUMENTS);
    const ask = async (documents: number): Promise<number[]> =>
      (await client.run({ modality: 'text', documents, batch: 1, inFlight: 1, pauseMs: PAUSE_MS })).latenciesMs;
    const rateWhile = async <T>(run: () => Promise<T>, others: number): Promise<[T, number]> => {
      const [started, before] = [performance.now(), await bulk.answered()];
      const result = await run();
      const documents = (await bulk.answered()) - before - others;
      return [result, (documents * 1000) / (performance.now() - started)];
    };

    await bulk.start();
    await ask(WARM_UP_SINGLES);
    await bulk.rest();
    const [idle, beside]: [number[][], number[][]] = [[], []];
    const [bulkAlone, bulkBeside]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      idle.push(await ask(singles));
      await bulk.start();
      const [latencies, rate] = await rateWhile(() => ask(singles), singles);
      beside.push(latencies);
      bulkBeside.push(rate);
      await delay(CALM_AGAIN_MS);
      const [, alone] = await rateWhile(() => delay(bulkSeconds * 1000), 0);
      bulkAlone.push(alone);
      await bulk.rest();
    }
    const [idleMs, besideMs] = [latenciesOf(idle), latenciesOf(beside)];
    const ratio = (of: keyof Latencies): number => median(besideMs[of].map((ms, i) => ms / (idleMs[of][i] ?? NaN)));
    return { model, singles, idleMs, besideMs, ratioP50: ratio('p50'), ratioP99: ratio('p99'), bulkAlone, bulkBeside };
  } finally {
    rmSync(files, { recursive: true, force: true });
  }
}

function latenciesOf(legs: readonly number[][]): Latencies {
  return { p50: legs.map(median), p99: legs.map((ms) => percentile(ms, 0.99)) };
}

function flowText(model: string, redis: string, files: string): string {
  const folder = join(PACKAGE_ROOT, 'models', model);
  return `
jtype: Flow
with:
  name: bulk-${process.pid}
  protocol: [http, grpc]
  redis: ${redis}
  jobs: { files: ${JSON.stringify(files)}, chunk: 64 }
executors:
  - name: clip
    uses: CLIPEncoder
    uses_with: { model_path: ${JSON.stringify(folder)}, device: cpu, minibatch_size: ${BATCH} }
`;
}
