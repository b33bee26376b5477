import { join } from 'node:path';
import { availableThreads } from '../../executors/clip/model/threads.js';
import { PACKAGE_ROOT } from '../../src/version.js';
import { FlowProcess } from '../support/flow-process.js';
import { cosine, median } from '../support/vectors.js';
import { Child } from './child.js';
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
}

export interface LatencyEffort {
  rounds: number;
  /** Documents of a leg, one at a time. */
  singles: number;
  /** Documents of each kind that each side embeds with a small model before: V8 compiles what they pass. */
  warmUp: number;
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

export interface Latency {
  model: string;
  replicas: number;
  protocol: Protocol;
  modality: Modality;
  /** Rest between an answer and the next call. */
  pauseMs: number;
  /** Median latency of a single document, of each leg. */
  bareMs: number[];
  stackMs: number[];
  /** Of the least that a gRPC server can be: the bare loop in the handler of a method. */
  minimalMs: number[];
  /** Medians of the rounds' stack - bare and minimal - bare. */
  differenceMs: number;
  minimalDifferenceMs: number;
}

/** Documents that a batch holds at most, in the bare loop and in the replica. */
export const BATCH = 32;
/** Of each replica: one batch runs, one is prefetched, two wait. */
const IN_FLIGHT = 4 * BATCH;
const WARM_UP_IN_FLIGHT = 8;
const WARM_UP_MODEL = join(PACKAGE_ROOT, 'models/tiny-clip');
/** One call after the other, and now and then: a processor that rests between two is slower, on every side. */
const PAUSES_MS = [0, 5];

/**
 * A model served by some replicas, and the same model in as many bare loops side by side, each with the threads of a
 * replica; while one side is measured, the other is idle.
 */
export class Comparison implements AsyncDisposable {
  #warm = new Set<Modality>();

  private constructor(
    private readonly model: string,
    private readonly protocol: Protocol,
    private readonly bare: BareLoops,
    private readonly client: ContenderProcess,
    private readonly minimal: { server: Child; client: ContenderProcess },
    private readonly flow: FlowProcess,
    private readonly pids: { gateway: number; replicas: number[] },
  ) {}

  static async start(model: string, protocol: Protocol, replicas: number): Promise<Comparison> {
    const threads = Math.max(1, Math.floor(availableThreads() / replicas));
    const folder = join(PACKAGE_ROOT, 'models', model);
    const bare = await BareLoops.start(folder, threads, replicas);
    const text = flowText(folder, threads, replicas);
    const flow = await FlowProcess.start({ text, args: ['--transport', 'embedded'] });
    const client = await ContenderProcess.start({ kind: protocol, url: flow.url });
    const gateway = Number((await flow.event(({ event }) => event === 'gateway_listening')).pid);
    const pids = { gateway, replicas: (await flow.replicas('clip')).map(({ pid }) => pid) };
    const server = await Child.start(
      new URL('./minimal-server.js', import.meta.url),
      folder,
      WARM_UP_MODEL,
      String(threads),
    );
    const { port } = server.hello as { port: number };
    const minimal = { server, client: await ContenderProcess.start({ kind: 'grpc', url: `http://127.0.0.1:${port}` }) };
    return new Comparison(model, protocol, bare, client, minimal, flow, pids);
  }

  get replicas(): number {
    return this.bare.count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.minimal.client[Symbol.asyncDispose]();
    await this.minimal.server[Symbol.asyncDispose]();
    await this.flow.stop();
    await this.bare[Symbol.asyncDispose]();
  }

  async *throughput(modality: Modality, effort: Effort): AsyncGenerator<Throughput> {
    const documents = await this.#documentsOfALeg(modality, effort);
    for (const documentsPerRequest of effort.documentsPerRequest) {
      const inFlight = (this.replicas * IN_FLIGHT) / documentsPerRequest;
      const bareLeg: Leg = { modality, documents, batch: BATCH, inFlight: 1 };
      const stackLeg: Leg = { modality, documents, batch: documentsPerRequest, inFlight };
      const legs: PairOfLegs[] = [];
      for (let i = 0; i < effort.pairs; i++) legs.push(await this.#pair(bareLeg, stackLeg));
      const rate = ({ seconds }: LegResult): number => documents / seconds;
      const cpu = (seconds: (leg: PairOfLegs) => number): number =>
        median(legs.map((leg) => (seconds(leg) * 1000) / documents));
      yield {
        model: this.model,
        replicas: this.replicas,
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

  /** Of a server that has run for a while and has nothing else to do: one document at a time, at each pace. */
  async *latency(modality: Modality, { rounds, singles, warmUp }: LatencyEffort): AsyncGenerator<Latency> {
    for (const one of ['text', modality] as const) await this.#warmUp(one, warmUp);
    for (const pauseMs of PAUSES_MS) yield await this.#latencyAt({ modality, documents: singles, pauseMs }, rounds);
  }

  async #warmUp(modality: Modality, documents: number): Promise<void> {
    if (this.#warm.has(modality)) return;
    this.#warm.add(modality);
    const leg: Leg = { modality, documents, batch: 1, inFlight: WARM_UP_IN_FLIGHT, model: 'warm-up' };
    for (const side of [this.bare, this.client, this.minimal.client]) await side.run(leg);
  }

  async #latencyAt(
    singles: Pick<Leg, 'modality' | 'documents'> & { pauseMs: number },
    rounds: number,
  ): Promise<Latency> {
    const leg: Leg = { ...singles, batch: 1, inFlight: 1 };
    const [bareMs, stackMs, minimalMs]: [number[], number[], number[]] = [[], [], []];
    await this.#pair(leg, leg);
    await this.minimal.client.run(leg);
    for (let i = 0; i < rounds; i++) {
      const { bare, stack } = await this.#pair(leg, leg);
      bareMs.push(median(bare.latenciesMs));
      stackMs.push(median(stack.latenciesMs));
      minimalMs.push(median((await this.minimal.client.run(leg)).latenciesMs));
    }
    const overBare = (all: number[]): number => median(all.map((ms, i) => ms - (bareMs[i] ?? NaN)));
    const { model, replicas, protocol } = this;
    const { modality, pauseMs } = singles;
    const differences = { differenceMs: overBare(stackMs), minimalDifferenceMs: overBare(minimalMs) };
    return { model, replicas, protocol, modality, pauseMs, bareMs, stackMs, minimalMs, ...differences };
  }

  /** What the bare loops embed in `legSeconds`, in whole batches; brings both sides to speed meanwhile. */
  async #documentsOfALeg(
    modality: Modality,
    { legSeconds, minBatches }: Pick<Effort, 'legSeconds' | 'minBatches'>,
  ): Promise<number> {
    const leg: Leg = { modality, documents: BATCH, batch: BATCH, inFlight: 1 };
    await this.client.run(leg);
    const { latenciesMs } = await this.bare.run({ ...leg, documents: 2 * BATCH * this.replicas });
    return BATCH * this.replicas * Math.max(minBatches, Math.round((legSeconds * 1000) / Math.min(...latenciesMs)));
  }

  async #pair(bareLeg: Leg, stackLeg: Leg): Promise<PairOfLegs> {
    const bare = await this.bare.run(bareLeg);
    const [gateway, replicas] = [cpuSeconds(this.pids.gateway), this.#replicaCpu()];
    const stack = await this.client.run(stackLeg).catch((cause: unknown) => {
      throw new Error(`the stack failed; its log ends with:\n${this.flow.stderr.slice(-4000)}`, { cause });
    });
    const gatewayCpu = cpuSeconds(this.pids.gateway) - gateway;
    const replicaCpu = this.#replicaCpu() - replicas;
    checkSame(bare, stack);
    return { bare, stack, gatewayCpu, replicaCpu };
  }

  #replicaCpu(): number {
    return this.pids.replicas.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  }
}

/** Bare loops side by side, each in a process of its own, that share the documents of a leg. */
class BareLoops implements AsyncDisposable {
  private constructor(private readonly loops: readonly ContenderProcess[]) {}

  static async start(model: string, threads: number, count: number): Promise<BareLoops> {
    const models = { measured: model, 'warm-up': WARM_UP_MODEL };
    const loops: ContenderProcess[] = [];
    for (let i = 0; i < count; i++) loops.push(await ContenderProcess.start({ kind: 'bare', models, threads }));
    return new BareLoops(loops);
  }

  get count(): number {
    return this.loops.length;
  }

  /** Documents that come one at a time go to one of them. */
  async run(leg: Leg): Promise<LegResult> {
    const used = leg.batch === 1 ? this.loops.slice(0, 1) : this.loops;
    const share = { ...leg, documents: leg.documents / used.length };
    const results = await Promise.all(used.map((loop) => loop.run(share)));
    return {
      seconds: Math.max(...results.map(({ seconds }) => seconds)),
      cpuSeconds: results.reduce((sum, result) => sum + result.cpuSeconds, 0),
      latenciesMs: results.flatMap(({ latenciesMs }) => latenciesMs),
      embedding: results[0]?.embedding ?? [],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const loop of this.loops) await loop[Symbol.asyncDispose]();
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
function flowText(model: string, threads: number, replicas: number): string {
  return `
jtype: Flow
with: { protocol: [http, grpc] }
executors:
  - name: clip
    uses: CLIPEncoder
    replicas: ${replicas}
    uses_with:
      models: [{ name: measured, model_path: ${JSON.stringify(model)} }, { name: warm-up, model_path: ${JSON.stringify(WARM_UP_MODEL)} }]
      device: cpu
      intra_op_num_threads: ${threads}
      minibatch_size: ${BATCH}
      trim_text: false
`;
}
