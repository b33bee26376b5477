import type { TextTokenizer } from '../../text/tokenizer.js';
import { embedTexts } from '../embed.js';
import type { Session } from '../session.js';
import { leastCosineIfDifferent } from './same-vectors.js';

/** Some twenty words, so at least as many tokens. */
const WORDS = 'two small brown dogs play with an old red ball in the wet grass behind a house while some man looks on ';

/** Texts that are padded to one of the lengths: the shortest and the longest there are. */
interface Probe {
  length: number;
  texts: Int32Array[];
  /** What the graph as it was published gives, at the context length. */
  vectors: Float32Array[];
}

/** Texts of known vectors, to tell whether a text tower can do without some of its work. */
export class TextProbes {
  private constructor(
    private readonly probes: readonly Probe[],
    private readonly tokenizer: TextTokenizer,
  ) {}

  /**
   * @param bare the graph as it was published
   * @param lengths that texts may be padded to, rising; the last is the context length
   */
  static async of(bare: Session, tokenizer: TextTokenizer, lengths: readonly number[]): Promise<TextProbes> {
    const { contextLength, padId } = tokenizer;
    const ids = tokenizer.encode(WORDS.repeat(Math.ceil(contextLength / 20)));
    const text = (size: number) => Int32Array.of(...ids.subarray(0, size - 1), ...ids.subarray(-1));
    const probes: Probe[] = [];
    for (const [index, length] of lengths.entries()) {
      const shortest = (lengths[index - 1] ?? 1) + 1; // two tokens: start and end
      const texts = [text(shortest), text(length)];
      probes.push({ length, texts, vectors: await embed(bare, texts, contextLength, padId) });
    }
    return new TextProbes(probes, tokenizer);
  }

  /** Why the vectors need the padding that the graph was trained with; undefined if they don't. */
  async faultOfPadding(bare: Session): Promise<string | undefined> {
    const [shortest] = this.probes;
    if (shortest === undefined) return undefined;
    const { contextLength, padId } = this.tokenizer;
    // A word, as some graphs would take a second end for the end.
    const word = this.tokenizer.encode(WORDS)[1] ?? padId;
    const cosine = leastCosineIfDifferent(await embed(bare, shortest.texts, contextLength, word), shortest.vectors);
    return cosine === undefined ? undefined : `its vectors depend on the padding (cosine ${cosine})`;
  }

  /**
   * Why a session is of no use; undefined if it gives the vectors wanted.
   * @param trimmed whether texts are padded to the lengths, rather than to the context length
   */
  async faultOf(session: Session, trimmed: boolean): Promise<string | undefined> {
    const { contextLength, padId } = this.tokenizer;
    for (const { length, texts, vectors } of this.probes) {
      const padded = trimmed ? length : contextLength;
      const cosine = leastCosineIfDifferent(await embed(session, texts, padded, padId), vectors);
      if (cosine !== undefined) return `at ${padded} tokens its vectors differ (cosine ${cosine})`;
    }
    return undefined;
  }
}

function embed(session: Session, texts: readonly Int32Array[], length: number, padId: number): Promise<Float32Array[]> {
  return embedTexts(session, (feeds) => session.run(feeds), texts, length, padId);
}
