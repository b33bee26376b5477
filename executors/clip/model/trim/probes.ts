import type { TextTokenizer } from '../../text/tokenizer.js';
import { embedTexts } from '../embed.js';
import type { Session } from '../session.js';
import { groupByLength } from './lengths.js';

/** From this cosine on two vectors count as the same. Rounding alone moves one of float32 by some 1e-7. */
const SAME = 0.9999;

/** Texts whose padding is replaced: three are enough, as each position behind the end of the shortest is. */
const REFILLED = 3;

const WORDS = 'two small brown dogs play with an old red ball in the wet grass behind a house while some man looks on ';

/** Texts of known vectors, to tell whether a text tower can do without the padding. */
export class Probes {
  private constructor(
    private readonly texts: readonly Int32Array[],
    private readonly vectors: readonly Float32Array[],
    private readonly lengths: readonly number[],
    private readonly padId: number,
  ) {}

  /**
   * The shortest text there is, and for each of the lengths the shortest and the longest text that is padded to it.
   * @param bare the graph as it was published, which gives the vectors
   */
  static async of(bare: Session, tokenizer: TextTokenizer, lengths: readonly number[]): Promise<Probes> {
    const { contextLength, padId } = tokenizer;
    const ids = tokenizer.encode(WORDS.repeat(contextLength));
    const texts = lengths
      .flatMap((length, index) => [index === 0 ? 2 : (lengths[index - 1] ?? 0) + 1, length])
      .map((size) => Int32Array.of(...ids.subarray(0, size - 1), ...ids.subarray(-1)));
    return new Probes(texts, await embed(bare, texts, contextLength, padId), lengths, padId);
  }

  /** Why the vectors need the padding that the graph was trained with; undefined if they don't. */
  async faultOfPadding(bare: Session): Promise<string | undefined> {
    const contextLength = this.lengths.at(-1) ?? 0;
    // A word, as some graphs would take a second end for the end.
    const word = this.texts.at(-1)?.[1] ?? this.padId;
    const vectors = await embed(bare, this.texts.slice(0, REFILLED), contextLength, word);
    const cosine = leastCosine(vectors, this.vectors);
    return isSame(cosine) ? undefined : `its vectors depend on the padding (cosine ${cosine})`;
  }

  /** Why the texts cannot be padded to the shorter lengths; undefined if they can. */
  async faultOfLengths(session: Session): Promise<string | undefined> {
    for (const { length, texts } of groupByLength(this.texts, this.lengths)) {
      const ids = texts.map((text) => text.ids);
      const wanted = texts.map(({ row }) => this.vectors[row] ?? new Float32Array());
      const vectors = await embed(session, ids, length, this.padId);
      const cosine = leastCosine(vectors, wanted);
      if (!isSame(cosine)) return `at ${length} tokens its vectors differ (cosine ${cosine})`;
    }
    return undefined;
  }
}

function embed(session: Session, texts: readonly Int32Array[], length: number, padId: number): Promise<Float32Array[]> {
  return embedTexts(session, (feeds) => session.run(feeds), texts, length, padId);
}

/** False for one that is not a number, too. */
function isSame(cosine: number): boolean {
  return cosine >= SAME;
}

function leastCosine(vectors: readonly Float32Array[], wanted: readonly Float32Array[]): number {
  return Math.min(...vectors.map((vector, row) => cosine(vector, wanted[row] ?? new Float32Array())));
}

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = a.reduce((sum, value, i) => sum + value * (b[i] ?? Number.NaN), 0);
  return dot / (Math.hypot(...a) * Math.hypot(...b));
}
