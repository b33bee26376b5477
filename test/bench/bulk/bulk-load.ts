import { setTimeout as delay } from 'node:timers/promises';
import type { FlowProcess } from '../../support/flow-process.js';
import { JobsClient } from '../../support/jobs.js';
import { within } from '../../support/until.js';
import { contents } from '../workload.js';

const LOOK_MS = 50;
const LIMIT_MS = 120_000;
/** Looks at a gateway that has nothing to do before it counts as idle: between two tasks of a job there is a gap. */
const IDLE_LOOKS = 10;
/** Documents under way at which the load counts as full, of the 64 that a worker asks for at once. */
const FULL = 48;

/** A job of many texts, which goes on and rests as it is told. */
export class BulkLoad {
  readonly #jobs: JobsClient;
  #job: string | undefined;

  /** @param documents of one job, in multiples of those that there are */
  constructor(
    private readonly flow: FlowProcess,
    private readonly documents: number,
  ) {
    this.#jobs = new JobsClient(() => flow.url);
  }

  /** Resolves when the queue of the gateway is full. */
  async start(): Promise<void> {
    if (this.#job !== undefined && (await this.#left()) < this.documents / 2) this.#job = undefined;
    if (this.#job === undefined) this.#job = await this.#new();
    else await this.#jobs.act(this.#job, 'resume');
    await this.#untilOngoing((documents) => documents >= FULL, 1);
  }

  /** Resolves when nothing of it is under way any more. Fails when the job came to its end: the load was none then. */
  async rest(): Promise<void> {
    if (this.#job === undefined) return;
    const { status } = await this.#jobs.act(this.#job, 'pause');
    if (status !== 'in_progress') throw new Error(`the job is ${status}: it had too few documents for its leg`);
    await this.#untilOngoing((documents) => documents === 0, IDLE_LOOKS);
  }

  /** Documents that the gateway has answered, whoever asked. */
  answered(): Promise<number> {
    return this.#metric('clipflow_documents_total');
  }

  async #new(): Promise<string> {
    const texts = contents('text').flatMap((content) => ('text' in content ? [content.text] : []));
    const count = Math.ceil(this.documents / texts.length);
    return this.#jobs.start({ input: { documents: Array.from({ length: count }, () => texts).flat() }, output: 'npy' });
  }

  async #left(): Promise<number> {
    const { progress } = await this.#jobs.job(this.#job ?? '');
    return (progress.total ?? 0) - progress.completed;
  }

  async #untilOngoing(wanted: (documents: number) => boolean, looks: number): Promise<void> {
    const wait = async (): Promise<void> => {
      for (let seen = 0; seen < looks; await delay(LOOK_MS)) {
        seen = wanted(await this.#metric('clipflow_executor_ongoing_documents')) ? seen + 1 : 0;
      }
    };
    await within(wait(), 'the bulk load to start, or to rest', LIMIT_MS);
  }

  /** The sum over its labels. */
  async #metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.flow.url}/metrics`)).text();
    const values = text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'));
    return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
  }
}
