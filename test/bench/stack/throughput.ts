import { median } from '../../support/vectors.js';
import type { Modality } from '../workload.js';
import type { Leg, LegResult, Protocol } from './contender.js';
import { BATCH, Sides, type PairOfLegs, type SidesSpec } from './sides.js';

export interface Effort {
  /** Sizes of requests that the throughput is measured with. */
  documentsPerRequest: readonly number[];
  /** Pairs of legs, one bare and one through the stack. */
  pairs: number;
  /** How long a bare leg should take, and the batches that it has at least. */
  legSeconds: number;
  minBatches: number;
}

/** The stack beside the bare loop; figures that belong together stand at the same index. */
export interface Throughput {
  model: string;
  replicas: number;
  protocol: Protocol;
  modality: Modality;
  documentsPerRequest: number;
  /** Of each leg. */
  documents: number;
  /** Documents per second. */
  bare: number[];
  stack: number[];
  /** Median of the pairs' stack / bare. */
  ratio: number;
  /** CPU milliseconds for each document, by process; the client's is the generator of the load. Medians. */
  cpuMs: { bare: number; replica: number; gateway: number; client: number };
  /** Bare over replica and gateway: the ratio if CPU time were all that counts and the clients ran elsewhere. */
  cpuRatio: number;
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

  async *measure(modality: Modality, effort: Effort): AsyncGenerator<Throughput> {
    const { model, replicas, protocol } = this.spec;
    const documents = await this.#documentsOfALeg(modality, effort);
    for (const documentsPerRequest of effort.documentsPerRequest) {
      const inFlight = (replicas * IN_FLIGHT) / documentsPerRequest;
      const bareLeg: Leg = { modality, documents, batch: BATCH, inFlight: 1 };
      const stackLeg: Leg = { modality, documents, batch: documentsPerRequest, inFlight };
      const legs: PairOfLegs[] = [];
      for (let i = 0; i < effort.pairs; i++) legs.push(await this.sides.pair(bareLeg, stackLeg));
      const rate = ({ seconds }: LegResult): number => documents / seconds;
      const cpu = (seconds: (leg: PairOfLegs) => number): number =>
        median(legs.map((leg) => (seconds(leg) * 1000) / documents));
      yield {
        ...{ model, replicas, protocol, modality, documentsPerRequest, documents },
        bare: legs.map((leg) => rate(leg.bare)),
        stack: legs.map((leg) => rate(leg.stack)),
        ratio: median(legs.map((leg) => rate(leg.stack) / rate(leg.bare))),
        cpuMs: {
          bare: cpu((leg) => leg.bare.cpuSeconds),
          replica: cpu((leg) => leg.replicaCpu),
          gateway: cpu((leg) => leg.gatewayCpu),
          client: cpu((leg) => leg.stack.cpuSeconds),
        },
        cpuRatio: median(legs.map((leg) => leg.bare.cpuSeconds / (leg.replicaCpu + leg.gatewayCpu))),
      };
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
