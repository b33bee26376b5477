import { fillFlow } from '../../../src/flow/fill.js';
import type { AutoscaleConfig } from '../../../src/autoscale/policy.js';
import { day, randomFrom } from './day.js';
import { capacityOf, type ReplicaModel } from './pool.js';
import { simulate, type Simulated } from './simulate.js';

/** Much as ViT-B/32 computes pictures on two cores. */
export const REPLICA: ReplicaModel = { batchSize: 32, batchSeconds: 0.06, documentSeconds: 0.02, startSeconds: 20 };

/** A change back within so many seconds is told apart from one that follows the day. */
const SOON_SECONDS = 900;

const SEED = 7;

export interface AutoscaleFigures {
  scalings: number;
  /** More replicas, and within 15 minutes fewer: a burst is over. */
  upThenDown: number;
  /** Fewer replicas, and within 15 minutes more: they were missed, unless the load came back. */
  downThenUp: number;
  /** Minutes in which more documents came than the replicas that were ready can compute. */
  overloadedMinutes: number;
  /** Documents that waited for more than a second, of all. */
  late: number;
  /** Replica hours over those of just as many as each second needs. */
  overIdeal: number;
}

export interface AutoscaleDay {
  /** As a flow file has it. */
  autoscale: string;
  config: AutoscaleConfig;
  /** Documents per second that are offered in each second. */
  rates: readonly number[];
  capacity: number;
  simulated: Simulated;
  figures: AutoscaleFigures;
}

/** Settings that are compared, the defaults first. */
const SETTINGS = [{ max: 12 }, { min: 0, max: 12, up_delay: 10, down_delay: 120 }, { max: 12, target_ongoing: 256 }];

/** The same day with different settings; the same figures on every machine. */
export function autoscaleDays(model = REPLICA, seed = SEED): AutoscaleDay[] {
  const rates = day(randomFrom(seed));
  return SETTINGS.map((autoscale) => {
    const config = configOf(autoscale);
    const simulated = simulate(rates, config, model);
    const capacity = capacityOf(model);
    const figures = figuresOf(rates, simulated, config, capacity);
    return { autoscale: inFlowFile(autoscale), config, rates, capacity, simulated, figures };
  });
}

/** YAML's flow style. */
function inFlowFile(settings: object): string {
  const entries = Object.entries(settings).map(([key, value]) => `${key}: ${value}`);
  return `{ ${entries.join(', ')} }`;
}

function configOf(autoscale: (typeof SETTINGS)[number]): AutoscaleConfig {
  const { executors } = fillFlow({ executors: [{ uses: 'x', autoscale }] }, { name: 'day', file: undefined });
  const config = executors[0]?.autoscale;
  if (!config) throw new Error('the flow has no executor that is scaled');
  return config;
}

function figuresOf(
  rates: readonly number[],
  { scalings, ready, documents, late }: Simulated,
  { min, max }: AutoscaleConfig,
  capacity: number,
): AutoscaleFigures {
  const back = (was: 1 | -1): number =>
    scalings.filter((now, index) => {
      const before = scalings[index - 1];
      if (!before || now.second - before.second > SOON_SECONDS) return false;
      return Math.sign(before.to - before.from) === was && Math.sign(now.to - now.from) === -was;
    }).length;
  const needed = rates.map((rate) => Math.min(Math.max(Math.ceil(rate / capacity), min), max));
  return {
    scalings: scalings.length,
    upThenDown: back(1),
    downThenUp: back(-1),
    overloadedMinutes: rates.filter((rate, second) => rate > (ready[second] ?? 0) * capacity).length / 60,
    late: late / documents,
    overIdeal: sum(ready) / sum(needed),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, number) => all + number, 0);
}
