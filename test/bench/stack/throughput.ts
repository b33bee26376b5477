import type { Modality } from '../workload.js';
import type { Leg } from './contender.js';
import { BATCH, Sides, type PairOfLegs, type SidesSpec } from './sides.js';
import type { Started } from './starts.js';

export interface Effort {
  /** How often both sides are started anew; see `Started`. */
  starts: number;
  /** Sizes of requests that the throughput is measured with. */
  documentsPerRequest: readonly number[];
  /** Of each start: pairs of legs, one bare and one through the stack. */
  pairs: number;
  /** How long a bare leg should take, and the batches that it has at least. */
  legSeconds: number;
  minBatches: number;
}

/** What the stack is asked for, beside the bare loop. */
export interface Throughput extends SidesSpec {
  modality: Modality;
  documentsPerRequest: number;
}

export interface ThroughputPair {
  /** Of each leg. */
  documents: number;
  /** Documents per second. */
  bare: number;
  stack: number;
  /** CPU milliseconds for each document, by process; the client's is the generator of the load. */
  cpuMs: { bare: number; replica: number; gateway: number; client: number };
}

/** Of each replica: one batch runs, one is prefetched, two wait. */
const IN_FLIGHT = 4 * BATCH;

/** How many documents a second pass a stack that has all the work it can take, beside the bare loops. */
export class ThroughputComparison implements AsyncDisposable {
  private constructor(
    private readonly spec: SidesSpec,
    private readonly sides: Sides,
  ) {}

  static async start(spec: SidesSpec): Promise<ThroughputComparison> {
    return new ThroughputComparison(spec, await Sides.start(spec));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.sides[Symbol.asyncDispose]();
  }

  async *measure(modality: Modality, effort: Effort): AsyncGenerator<Started<Throughput, ThroughputPair>> {
    const documents = await this.#documentsOfALeg(modality, effort);
    for (const documentsPerRequest of effort.documentsPerRequest) {
      const inFlight = (this.spec.replicas * IN_FLIGHT) / documentsPerRequest;
      const bareLeg: Leg = { modality, documents, batch: BATCH, inFlight: 1 };
      const stackLeg: Leg = { modality, documents, batch: documentsPerRequest, inFlight };
      const rounds: ThroughputPair[] = [];
      for (let i = 0; i < effort.pairs; i++) rounds.push(figures(await this.sides.pair(bareLeg, stackLeg), documents));
      yield { of: { ...this.spec, modality, documentsPerRequest }, rounds };
    }
  }

  /** What the bare loops embed in `legSeconds`, in whole batches; brings both sides to speed meanwhile. */
  async #documentsOfALeg(
    modality: Modality,
    { legSeconds, minBatches }: Pick<Effort, 'legSeconds' | 'minBatches'>,
  ): Promise<number> {
    const { replicas } = this.spec;
    const leg: Leg = { modality, documents: BATCH, batch: BATCH, inFlight: 1 };
    await this.sides.client.run(leg);
    const { latenciesMs } = await this.sides.bare.run({ ...leg, documents: 2 * BATCH * replicas });
    return BATCH * replicas * Math.max(minBatches, Math.round((legSeconds * 1000) / Math.min(...latenciesMs)));
  }
}

function figures({ bare, stack, replicaCpu, gatewayCpu }: PairOfLegs, documents: number): ThroughputPair {
  const ms = (seconds: number): number => (seconds * 1000) / documents;
  return {
    documents,
    bare: documents / bare.seconds,
    stack: documents / stack.seconds,
    cpuMs: {
      bare: ms(bare.cpuSeconds),
      replica: ms(replicaCpu),
      gateway: ms(gatewayCpu),
      client: ms(stack.cpuSeconds),
    },
  };
}
