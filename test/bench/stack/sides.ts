import { join } from 'node:path';
import { availableThreads } from '../../../executors/clip/model/threads.js';
import { PACKAGE_ROOT } from '../../../src/version.js';
import { FlowProcess } from '../../support/flow-process.js';
import { cosine } from '../../support/vectors.js';
import { cpuSeconds } from '../cpu.js';
import { ContenderProcess, type Leg, type LegResult, type Models, type Protocol } from './contender.js';

/**
 * What the stack computes: the graphs as they were published, as the bare loop does, or what is left of them once a flow
 * has spared them, by default, what vectors don't need.
 */
export const GRAPHS = ['published', 'served'] as const;
export type Graphs = (typeof GRAPHS)[number];

/** What is served, and how it is asked. */
export interface SidesSpec {
  /** A folder of models/. */
  model: string;
  protocol: Protocol;
  replicas: number;
  graphs: Graphs;
}

export interface SidesOptions {
  /** A small model beside the one that is measured, to bring both sides to speed with. Default: none. */
  warmUp?: string;
}

export interface PairOfLegs {
  bare: LegResult;
  stack: LegResult;
  gatewayCpu: number;
  replicaCpu: number;
}

/** Documents that a batch holds at most, in the bare loop and in the replica. */
export const BATCH = 32;

/**
 * A model served by some replicas, and the same model in as many bare loops side by side, each with the threads of a
 * replica; while one side is measured, the other is idle.
 */
export class Sides implements AsyncDisposable {
  private constructor(
    readonly models: Models,
    /** Of a replica, and of a bare loop. */
    readonly threads: number,
    readonly bare: BareLoops,
    readonly client: ContenderProcess,
    private readonly flow: FlowProcess,
    private readonly pids: { gateway: number; replicas: number[] },
  ) {}

  static async start(spec: SidesSpec, { warmUp }: SidesOptions = {}): Promise<Sides> {
    const { model, protocol, replicas, graphs } = spec;
    const folder = (name: string): string => join(PACKAGE_ROOT, 'models', name);
    const models: Models = { measured: folder(model), ...(warmUp !== undefined && { 'warm-up': folder(warmUp) }) };
    const threads = Math.max(1, Math.floor(availableThreads() / replicas));
    const bare = await BareLoops.start(models, threads, replicas);
    const text = flowText(models, threads, replicas, graphs);
    const flow = await FlowProcess.start({ text, args: ['--transport', 'embedded'] });
    const client = await ContenderProcess.start({ kind: protocol, url: flow.url });
    const gateway = Number((await flow.event(({ event }) => event === 'gateway_listening')).pid);
    const pids = { gateway, replicas: (await flow.replicas('clip')).map(({ pid }) => pid) };
    return new Sides(models, threads, bare, client, flow, pids);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.flow.stop();
    await this.bare[Symbol.asyncDispose]();
  }

  /** One leg of each, one after the other. */
  async pair(bareLeg: Leg, stackLeg: Leg): Promise<PairOfLegs> {
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

  static async start(models: Models, threads: number, count: number): Promise<BareLoops> {
    const loops: ContenderProcess[] = [];
    for (let i = 0; i < count; i++) loops.push(await ContenderProcess.start({ kind: 'bare', models, threads }));
    return new BareLoops(loops);
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

/** What is compared must answer the same. */
function checkSame(bare: LegResult, stack: LegResult): void {
  const similarity = cosine(bare.embedding, stack.embedding);
  if (similarity > 0.9999) return;
  throw new Error(`the stack's embedding differs from the bare loop's (cosine ${similarity}): no figure would count`);
}

function flowText(models: Models, threads: number, replicas: number, graphs: Graphs): string {
  const spared = graphs === 'served';
  const served = Object.entries(models).map(([name, folder]) => ({ name, model_path: folder as string }));
  return `
jtype: Flow
with: { protocol: [http, grpc] }
executors:
  - name: clip
    uses: CLIPEncoder
    replicas: ${replicas}
    uses_with:
      models: ${JSON.stringify(served)}
      device: cpu
      intra_op_num_threads: ${threads}
      minibatch_size: ${BATCH}
      trim_text: ${spared}
      prune_last_block: ${spared}
`;
}
