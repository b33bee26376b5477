import { AutoscalePolicy, type AutoscaleConfig } from '../../../src/autoscale/policy.js';
import { randomFrom } from './day.js';
import { Pool, type ReplicaModel } from './pool.js';

const TICKS_PER_SECOND = 20;
/** As often as a gateway reports its load. */
const TICKS_PER_REPORT = 5;
const DOCUMENTS_PER_REQUEST = 4;
/** Requests that may arrive in a tick; how many do is binomial. */
const CHANCES = 16;
const SEED = 1;

export interface Scaling {
  second: number;
  from: number;
  to: number;
}

export interface Simulated {
  scalings: Scaling[];
  /** Replicas that were ready in each second. */
  ready: number[];
  documents: number;
  /** Of these, how many waited longer than a second for a replica. */
  late: number;
}

/**
 * Replicas that the policy scales as `clipflow serve` does: it decides at each report of the load, but not while a change
 * is being made.
 * @param rates documents per second that are offered in each second
 */
export function simulate(rates: readonly number[], config: AutoscaleConfig, model: ReplicaModel): Simulated {
  const random = randomFrom(SEED);
  const policy = new AutoscalePolicy(config);
  const scalings: Scaling[] = [];
  const ready: number[] = [];
  let replicas = config.min;
  let [before, startedAt] = [0, 0];
  const pool = new Pool(replicas, model);
  for (let tick = 0; tick < rates.length * TICKS_PER_SECOND; tick++) {
    const now = tick / TICKS_PER_SECOND;
    const second = Math.floor(now);
    const chance = (rates[second] ?? 0) / TICKS_PER_SECOND / DOCUMENTS_PER_REQUEST / CHANCES;
    for (let i = 0; i < CHANCES; i++) if (random() < chance) pool.add(DOCUMENTS_PER_REQUEST, now);
    pool.proceed(now);
    const starting = now < startedAt;
    if (now === second) ready.push(starting ? before : replicas);
    if (tick % TICKS_PER_REPORT > 0 || starting) continue;
    const wanted = policy.decide(pool.load(), replicas, now * 1000);
    if (wanted === replicas) continue;
    scalings.push({ second, from: replicas, to: wanted });
    pool.scale(wanted, now);
    before = replicas;
    if (wanted > replicas) startedAt = now + model.startSeconds;
    replicas = wanted;
  }
  return { scalings, ready, documents: pool.documents, late: pool.late };
}
