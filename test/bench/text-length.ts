import { join } from 'node:path';
import { pino } from 'pino';
import { ClipModel, type Embedded } from '../../executors/clip/clip-model.js';
import { availableThreads } from '../../executors/clip/model/threads.js';
import { PACKAGE_ROOT } from '../../src/version.js';
import { cosine, median } from '../support/vectors.js';
import type { Call } from './stack/contender.js';
import { openBareText, type BareText } from './stack/contenders/bare.js';
import { drive } from './drive.js';
import { textsOfTokens } from './workload.js';

/** Tokens of a text, start and end included: a tag, a caption, a long caption, nearly as many as fit. */
const TOKENS = [5, 14, 40, 75];
const BATCHES = [32, 1];

export interface TextLengthEffort {
  /** Each measures every length and batch once, both sides one after the other. */
  rounds: number;
  /** How long a bare leg should take. It has two calls at least. */
  legSeconds: number;
}

/** A ClipModel beside the graph as published; figures that belong together stand at the same index. */
export interface TextLength {
  model: string;
  /** Texts of one call. */
  batch: number;
  tokens: number;
  /** Texts per second. */
  bare: number[];
  trimmed: number[];
  /** Median of the rounds' trimmed / bare. */
  ratio: number;
  /** Between the two vectors of a text: the least of all texts. */
  cosine: number;
}

/** One length and batch, and what was measured of it. */
interface Case extends Omit<TextLength, 'ratio'> {
  /** Calls of a leg. */
  count: number;
  bareCalls: Call[];
  trimmedCalls: Call[];
}

/** A model that computes texts no further than they go, and its text graph as published, both in this process. */
export class TextLengthComparison implements AsyncDisposable {
  private constructor(
    private readonly model: string,
    private readonly bare: BareText,
    private readonly trimmed: ClipModel,
  ) {}

  static async start(model: string): Promise<TextLengthComparison> {
    const threads = availableThreads();
    const trimmed = await ClipModel.load({
      folder: join(PACKAGE_ROOT, 'models', model),
      device: 'cpu',
      intraOpNumThreads: threads,
      batchSize: Math.max(...BATCHES),
      trimText: true,
      decoders: 1,
      imageLimits: { pixels: 0, bytes: 0 },
      loadUri: () => Promise.reject(new Error('there are texts only')),
      log: pino(pino.destination(process.stderr.fd)), // tells whether the graph could be trimmed
      die: (error) => {
        throw error;
      },
    });
    return new TextLengthComparison(model, await openBareText(trimmed.spec, threads), trimmed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.trimmed.close();
    await this.bare.close();
  }

  async measure({ rounds, legSeconds }: TextLengthEffort): Promise<TextLength[]> {
    const cases: Case[] = [];
    for (const batch of BATCHES) {
      for (const tokens of TOKENS) cases.push(await this.#case(batch, tokens, legSeconds));
    }
    for (let round = 0; round < rounds; round++) {
      for (const { batch, count, ...one } of cases) {
        const leg = async (calls: Call[], rates: number[]): Promise<void> => {
          rates.push((count * batch) / (await drive(calls, count, 1)).seconds);
        };
        // Who goes first changes, as what else the machine does may grow or fade.
        if (round % 2 === 0) await leg(one.bareCalls, one.bare);
        await leg(one.trimmedCalls, one.trimmed);
        if (round % 2 === 1) await leg(one.bareCalls, one.bare);
      }
    }
    return cases.map(({ model, batch, tokens, bare, trimmed, cosine }) => {
      const ratio = median(trimmed.map((rate, i) => rate / (bare[i] ?? NaN)));
      return { model, batch, tokens, bare, trimmed, ratio, cosine };
    });
  }

  /** Compares the vectors of all texts, which brings both sides to speed. */
  async #case(batch: number, tokens: number, legSeconds: number): Promise<Case> {
    const texts = textsOfTokens(tokens);
    const batches = Array.from({ length: texts.length / batch }, (_, i) => texts.slice(i * batch, (i + 1) * batch));
    const calls = batches.map((one) => ({ bare: this.#bareCall(one), trimmed: this.#trimmedCall(one) }));
    let least = 1;
    for (const { bare, trimmed } of calls) {
      const [wanted, got] = [(await bare())(), (await trimmed())()];
      least = Math.min(least, ...cosines(Array.from(wanted), Array.from(got), batch));
    }
    if (!(least > 0.9999)) {
      throw new Error(`${this.model}: a trimmed vector differs (cosine ${least}): no figure would count`);
    }

    const bareCalls = calls.map(({ bare }) => bare);
    const { latenciesMs } = await drive(bareCalls, 2, 1);
    return {
      model: this.model,
      batch,
      tokens,
      bare: [],
      trimmed: [],
      cosine: least,
      count: Math.max(2, Math.round((legSeconds * 1000) / Math.min(...latenciesMs))),
      bareCalls,
      trimmedCalls: calls.map(({ trimmed }) => trimmed),
    };
  }

  #bareCall(texts: readonly string[]): Call {
    return async () => {
      const vectors = await this.bare.embedTexts(texts);
      return () => vectors;
    };
  }

  #trimmedCall(texts: readonly string[]): Call {
    return async () => {
      const vectors = await this.trimmed.embedTexts(texts);
      return () => vectors.flatMap((vector) => [...valid(vector)]);
    };
  }
}

function valid(embedded: Embedded): Float32Array {
  if (embedded instanceof Float32Array) return embedded;
  throw embedded;
}

/** Of the rows of two matrices. */
function cosines(a: readonly number[], b: readonly number[], rows: number): number[] {
  const width = a.length / rows;
  const row = (values: readonly number[], i: number): number[] => values.slice(i * width, (i + 1) * width);
  return Array.from({ length: rows }, (_, i) => cosine(row(a, i), row(b, i)));
}
