import { cosine } from '../../../../src/vector.js';
import type { TextTokenizer } from '../../text/tokenizer.js';
import { embedTexts } from '../embed.js';
import type { Session } from '../session.js';

/** From this cosine on two vectors count as the same. Rounding alone moves one of float32 by some 1e-7. */
const SAME = 0.9999;

/** Some twenty words, so at least as many tokens. */
const WORDS = 'two small brown dogs play with an old red ball in the wet grass behind a house while some man looks on ';

/** Texts that are padded to one of the lengths: the shortest and the longest there are. */
interface Probe {
  length: number;
  texts: Int32Array[];
  /** What the graph as it was published gives, at the context length. */
  vectors: Float32Array[];
}

/** Texts of known vectors, to tell whether a text tower can do without the padding. */
export class Probes {
  private constructor(
    private readonly probes: readonly Probe[],
    private readonly tokenizer: TextTokenizer,
  ) {}

  /**
   * @param bare the graph as it was published
   * @param lengths rising; the last is the context length
   */
  static async of(bare: Session, tokenizer: TextTokenizer, lengths: readonly number[]): Promise<Probes> {
    const { contextLength, padId } = tokenizer;
    const ids = tokenizer.encode(WORDS.repeat(Math.ceil(contextLength / 20)));
    const text = (size: number) => Int32Array.of(...ids.subarray(0, size - 1), ...ids.subarray(-1));
    const probes: Probe[] = [];
    for (const [index, length] of lengths.entries()) {
      const shortest = (lengths[index - 1] ?? 1) + 1; // two tokens: start and end
      const texts = [text(shortest), text(length)];
      probes.push({ length, texts, vectors: await embed(bare, texts, contextLength, padId) });
    }
    return new Probes(probes, tokenizer);
  }

  /** Why the vectors need the padding that the graph was trained with; undefined if they don't. */
  async faultOfPadding(bare: Session): Promise<string | undefined> {
    const [shortest] = this.probes;
    if (shortest === undefined) return undefined;
    const { contextLength, padId } = this.tokenizer;
    // A word, as some graphs would take a second end for the end.
    const word = this.tokenizer.encode(WORDS)[1] ?? padId;
    const cosine = leastCosine(await embed(bare, shortest.texts, contextLength, word), shortest.vectors);
    return isSame(cosine) ? undefined : `its vectors depend on the padding (cosine ${cosine})`;
  }

  /** Why texts cannot be padded to the shorter lengths; undefined if they can. */
  async faultOfLengths(session: Session): Promise<string | undefined> {
    for (const { length, texts, vectors } of this.probes) {
      const cosine = leastCosine(await embed(session, texts, length, this.tokenizer.padId), vectors);
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
