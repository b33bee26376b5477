import { median } from '../../support/vectors.js';
import { Child } from '../child.js';
import type { Modality } from '../workload.js';
import { ContenderProcess, type Leg, type Models } from './contender.js';
import { Sides, type SidesSpec } from './sides.js';
import type { Started } from './starts.js';

export interface LatencyEffort {
  /** How often all sides are started anew; see `Started`. */
  starts: number;
  /** Of each start. */
  rounds: number;
  /** Documents of a leg, one at a time. */
  singles: number;
  /** Documents of each kind that each side embeds with a small model before: V8 compiles what they pass. */
  warmUp: number;
}

/** What is asked for, one document at a time. */
export interface Latency extends SidesSpec {
  modality: Modality;
  /** Rest between an answer and the next call. */
  pauseMs: number;
}

/** Median latency of a single document in a leg, by side. */
export interface LatencyRound {
  bareMs: number;
  stackMs: number;
  /** Of the least that a gRPC server can be: the bare loop in the handler of a method. */
  minimalMs: number;
}

const WARM_UP_MODEL = 'tiny-clip';
const WARM_UP_IN_FLIGHT = 8;
/** One call after the other, and now and then: a processor that rests between two is slower, on every side. */
const PAUSES_MS = [0, 5];

/** How long one document takes through a stack that has run for a while and has nothing else to do. */
export class LatencyComparison implements AsyncDisposable {
  #warm = new Set<Modality>();

  private constructor(
    private readonly spec: SidesSpec,
    private readonly sides: Sides,
    private readonly minimal: MinimalServer,
  ) {}

  static async start(spec: SidesSpec): Promise<LatencyComparison> {
    const sides = await Sides.start(spec, { warmUp: WARM_UP_MODEL });
    return new LatencyComparison(spec, sides, await MinimalServer.start(sides.models, sides.threads));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.minimal[Symbol.asyncDispose]();
    await this.sides[Symbol.asyncDispose]();
  }

  /** One document at a time, at each pace. */
  async *measure(
    modality: Modality,
    { rounds, singles, warmUp }: LatencyEffort,
  ): AsyncGenerator<Started<Latency, LatencyRound>> {
    for (const one of ['text', modality] as const) await this.#warmUp(one, warmUp);
    for (const pauseMs of PAUSES_MS) {
      const leg: Leg = { modality, documents: singles, batch: 1, inFlight: 1, pauseMs };
      yield { of: { ...this.spec, modality, pauseMs }, rounds: await this.#at(leg, rounds) };
    }
  }

  async #warmUp(modality: Modality, documents: number): Promise<void> {
    if (this.#warm.has(modality)) return;
    this.#warm.add(modality);
    const leg: Leg = { modality, documents, batch: 1, inFlight: WARM_UP_IN_FLIGHT, model: 'warm-up' };
    for (const side of [this.sides.bare, this.sides.client, this.minimal.client]) await side.run(leg);
  }

  async #at(leg: Leg, rounds: number): Promise<LatencyRound[]> {
    await this.sides.pair(leg, leg);
    await this.minimal.client.run(leg);
    const measured: LatencyRound[] = [];
    for (let i = 0; i < rounds; i++) {
      const { bare, stack } = await this.sides.pair(leg, leg);
      const minimal = await this.minimal.client.run(leg);
      measured.push({
        bareMs: median(bare.latenciesMs),
        stackMs: median(stack.latenciesMs),
        minimalMs: median(minimal.latenciesMs),
      });
    }
    return measured;
  }
}

/** The least that a server can be, and its client. */
class MinimalServer implements AsyncDisposable {
  private constructor(
    private readonly server: Child,
    readonly client: ContenderProcess,
  ) {}

  static async start(models: Models, threads: number): Promise<MinimalServer> {
    const file = new URL('./minimal-server.js', import.meta.url);
    const server = await Child.start(file, JSON.stringify(models), String(threads));
    const { port } = server.hello as { port: number };
    const client = await ContenderProcess.start({ kind: 'grpc', url: `http://127.0.0.1:${port}` });
    return new MinimalServer(server, client);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}
