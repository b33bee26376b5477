import { Child } from '../child.js';
import type { Content, Modality } from '../workload.js';

/** One way to have documents embedded; each runs in a process of its own. */
export interface Contender {
  /** Does all that need not be timed. */
  prepare(batch: readonly Content[], model: Model): Call;
}

/** The model that is measured, or a small one whose requests pass the same code: see `Leg.model`. */
export type Model = 'measured' | 'warm-up';

/** Model folders of a side; the small one where there is something to bring to speed with it. */
export interface Models {
  measured: string;
  'warm-up'?: string;
}

/** Endpoint by model. */
export const ENDPOINTS: Record<Model, string> = { measured: '/encode', 'warm-up': '/encode/warm-up' };

/** Embeds the batch. What it resolves to reads the first embedding of the answer: that is not timed. */
export type Call = () => Promise<() => ArrayLike<number>>;

/** Ways into the stack: a file each in contenders/. */
export const PROTOCOLS = ['http', 'grpc'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** How a contender's process is told what to open. */
export type ContenderSpec = { kind: 'bare'; models: Models; threads: number } | { kind: Protocol; url: string };

/** What is timed at a time. */
export interface Leg {
  modality: Modality;
  /** From the first call to the last answer. A multiple of `batch`. */
  documents: number;
  /** Documents of one call. */
  batch: number;
  /** Calls under way at once. */
  inFlight: number;
  /** Rest between an answer and the next call. @default 0 */
  pauseMs?: number;
  /** V8 compiles what requests pass through, whichever model computes them; the small one takes less time. @default measured */
  model?: Model;
}

export interface LegResult {
  seconds: number;
  /** CPU time of the contender's process. */
  cpuSeconds: number;
  /** Of each call. */
  latenciesMs: number[];
  /** Of the workload's first document. */
  embedding: number[];
}

/** A contender's process, from the side that gives it work. */
export class ContenderProcess implements AsyncDisposable {
  private constructor(private readonly child: Child) {}

  static async start(spec: ContenderSpec): Promise<ContenderProcess> {
    return new ContenderProcess(
      await Child.start(new URL('./contender-process.js', import.meta.url), JSON.stringify(spec)),
    );
  }

  run(leg: Leg): Promise<LegResult> {
    return this.child.ask<LegResult>(leg);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.child[Symbol.asyncDispose]();
  }
}
