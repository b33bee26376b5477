import { join } from 'node:path';
import { availableThreads } from '../../executors/clip/model/threads.js';
import { PACKAGE_ROOT } from '../../src/version.js';
import { FlowProcess } from '../support/flow-process.js';
import { cosine, median } from '../support/vectors.js';
import { ContenderProcess, type Leg, type LegResult, type Protocol } from './contender.js';
import { cpuSeconds } from './cpu.js';
import type { Modality } from './workload.js';

export interface Effort {
  /** Sizes of requests that the throughput is measured with. */
  documentsPerRequest: readonly number[];
  /** Pairs of legs, one bare and one through the stack. */
  pairs: number;
  /** How long a bare leg should take, and the batches that it has at least. */
  legSeconds: number;
  minBatches: number;
  /** Documents of a leg that measures latency. */
  singles: number;
}

/** The stack beside the bare loop; figures that belong together stand at the same index. */
export interface Throughput {
  model: string;
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

export interface Latency {
  model: string;
  protocol: Protocol;
  modality: Modality;
  /** Median latency of a single document, of each leg. */
  bareMs: number[];
  stackMs: number[];
  /** Median of the pairs' stack - bare. */
  differenceMs: number;
}

/** Documents that a batch holds at most, in the bare loop and in the replica. */
export const BATCH = 32;
/** One batch runs, one is prefetched, two wait. */
const IN_FLIGHT = 4 * BATCH;

/** A model served by one replica, and the same model in a bare loop; while one is measured, the other is idle. */
export class Comparison implements AsyncDisposable {
  private constructor(
    private readonly model: string,
    private readonly protocol: Protocol,
    private readonly bare: ContenderProcess,
    private readonly client: ContenderProcess,
    private readonly flow: FlowProcess,
    private readonly pids: { gateway: number; replica: number },
  ) {}

  static async start(model: string, protocol: Protocol): Promise<Comparison> {
    const threads = availableThreads();
    const folder = join(PACKAGE_ROOT, 'models', model);
    const bare = await ContenderProcess.start({ kind: 'bare', model: folder, threads });
    const flow = await FlowProcess.start({ text: flowText(folder, threads), args: ['--transport', 'embedded'] });
    const client = await ContenderProcess.start({ kind: protocol, url: flow.url });
    const gateway = Number((await flow.event(({ event }) => event === 'gateway_listening')).pid);
    const [replica] = await flow.replicas('clip');
    return new Comparison(model, protocol, bare, client, flow, { gateway, replica: replica?.pid ?? NaN });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.flow.stop();
    await this.bare[Symbol.asyncDispose]();
  }

  async *throughput(modality: Modality, effort: Effort): AsyncGenerator<Throughput> {
    const documents = await this.#documentsOfALeg(modality, effort);
    for (const documentsPerRequest of effort.documentsPerRequest) {
      const inFlight = IN_FLIGHT / documentsPerRequest;
      const legs = await this.#pairs(
        effort.pairs,
        { modality, documents, batch: BATCH, inFlight: 1 },
        { modality, documents, batch: documentsPerRequest, inFlight },
      );
      const rate = ({ seconds }: LegResult): number => documents / seconds;
      const cpu = (seconds: (leg: PairOfLegs) => number): number =>
        median(legs.map((leg) => (seconds(leg) * 1000) / documents));
      yield {
        model: this.model,
        protocol: this.protocol,
        modality,
        documentsPerRequest,
        documents,
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

  async latency(modality: Modality, { pairs, singles }: Effort): Promise<Latency> {
    const leg: Leg = { modality, documents: singles, batch: 1, inFlight: 1 };
    await this.#pairs(1, { ...leg, documents: 3 }, { ...leg, documents: 3 });
    const legs = await this.#pairs(pairs, leg, leg);
    const bareMs = legs.map(({ bare }) => median(bare.latenciesMs));
    const stackMs = legs.map(({ stack }) => median(stack.latenciesMs));
    const differenceMs = median(stackMs.map((ms, i) => ms - (bareMs[i] ?? NaN)));
    return { model: this.model, protocol: this.protocol, modality, bareMs, stackMs, differenceMs };
  }

  /** What the bare loop embeds in `legSeconds`, in whole batches; brings both sides to speed meanwhile. */
  async #documentsOfALeg(modality: Modality, { legSeconds, minBatches }: Effort): Promise<number> {
    const leg: Leg = { modality, documents: BATCH, batch: BATCH, inFlight: 1 };
    await this.client.run(leg);
    const { latenciesMs } = await this.bare.run({ ...leg, documents: 2 * BATCH });
    return BATCH * Math.max(minBatches, Math.round((legSeconds * 1000) / Math.min(...latenciesMs)));
  }

  async #pairs(count: number, bareLeg: Leg, stackLeg: Leg): Promise<PairOfLegs[]> {
    const legs: PairOfLegs[] = [];
    for (let i = 0; i < count; i++) {
      const bare = await this.bare.run(bareLeg);
      const [gateway, replica] = [cpuSeconds(this.pids.gateway), cpuSeconds(this.pids.replica)];
      const stack = await this.client.run(stackLeg).catch((cause: unknown) => {
        throw new Error(`the stack failed; its log ends with:\n${this.flow.stderr.slice(-4000)}`, { cause });
      });
      const gatewayCpu = cpuSeconds(this.pids.gateway) - gateway;
      const replicaCpu = cpuSeconds(this.pids.replica) - replica;
      checkSame(bare, stack);
      legs.push({ bare, stack, gatewayCpu, replicaCpu });
    }
    return legs;
  }
}

interface PairOfLegs {
  bare: LegResult;
  stack: LegResult;
  gatewayCpu: number;
  replicaCpu: number;
}

/** What is compared must do the same work. */
function checkSame(bare: LegResult, stack: LegResult): void {
  const similarity = cosine(bare.embedding, stack.embedding);
  if (similarity > 0.9999) return;
  throw new Error(`the stack's embedding differs from the bare loop's (cosine ${similarity}): no figure would count`);
}

/** Texts are not trimmed: the bare graph is not either, and this suite is about what the stack costs. */
function flowText(model: string, threads: number): string {
  return `
jtype: Flow
with: { protocol: [http, grpc] }
executors:
  - name: clip
    uses: CLIPEncoder
    uses_with: { model_path: ${JSON.stringify(model)}, device: cpu, intra_op_num_threads: ${threads}, minibatch_size: ${BATCH}, trim_text: false }
`;
}
