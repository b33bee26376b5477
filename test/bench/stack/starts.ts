import { median } from '../../support/vectors.js';
import type { Modality } from '../workload.js';

/**
 * What was measured between one start of all processes and the next. How fast a process computes is partly luck that it
 * keeps for its life (by some 3 % either way: which pages its memory lies in), so rounds of one start tell little of
 * the next.
 */
export interface Started<Subject, Round> {
  of: Subject;
  rounds: Round[];
}

/** The same, of every start. */
export interface Measured<Subject, Round> {
  of: Subject;
  starts: Round[][];
}

export interface Comparison<Effort, Subject, Round> extends AsyncDisposable {
  /** Yields the same subjects in the same order after every start. */
  measure(modality: Modality, effort: Effort): AsyncGenerator<Started<Subject, Round>>;
}

/**
 * Starts a comparison so many times, and measures each modality with each start.
 * @param results grows by what is measured, at once: it counts even if something fails later
 */
export async function measureStarts<Effort extends { starts: number }, Subject, Round>(
  start: () => Promise<Comparison<Effort, Subject, Round>>,
  modalities: readonly Modality[],
  effort: Effort,
  results: Measured<Subject, Round>[],
): Promise<void> {
  const first = results.length;
  for (let i = 0; i < effort.starts; i++) {
    await using comparison = await start();
    let at = first;
    for (const modality of modalities) {
      for await (const { of, rounds } of comparison.measure(modality, effort)) {
        (results[at++] ??= { of, starts: [] }).starts.push(rounds);
      }
    }
  }
}

/** Of all rounds the median, and of the starts' medians the least and the largest. */
export interface Figure {
  median: number;
  least: number;
  most: number;
}

export function figureOf<Round>(
  { starts }: Pick<Measured<unknown, Round>, 'starts'>,
  of: (round: Round) => number,
): Figure {
  const medians = starts.map((rounds) => median(rounds.map(of)));
  return { median: median(starts.flat().map(of)), least: Math.min(...medians), most: Math.max(...medians) };
}
