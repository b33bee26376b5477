import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { ClipflowError, toClipflowError } from '../../../src/errors.js';
import { Merges } from './bpe.js';
import { cleanText } from './clean.js';
import { truncateIds, type TextTokenizer } from './tokenizer.js';

/** Each of the 256 bytes has an id within a word and one at its end; then come the merges, start and end. */
const BYTES = 256;
const MERGES = 48_894;
const START = 2 * BYTES + MERGES;
const END = START + 1;

const ALL_BYTES = Array.from({ length: BYTES }, (_, byte) => byte);
const isPrintable = (byte: number): boolean => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
const PRINTABLE = ALL_BYTES.filter(isPrintable);
const OTHERS = ALL_BYTES.filter((byte) => !isPrintable(byte));

/** In the vocabulary a byte is a printable character: itself in Latin-1, or U+0100 and on for the others in turn. */
const SYMBOLS = [...PRINTABLE, ...OTHERS.map((_, i) => 0x100 + i)].map((code) => String.fromCharCode(code));

/** The id of a byte within a word: its place in that order. */
const BYTE_IDS = new Map([...PRINTABLE, ...OTHERS].map((byte, id) => [byte, id]));

/** Bytes of the longest token in the vocabulary: eight emoji. */
const LONGEST_TOKEN = 32;

/** Words that are remembered, and the length (UTF-16 units) up to which one is: some 15 MB at most. */
const CACHE_WORDS = 65_536;
const CACHE_LENGTH = 32;

/**
 * The published pattern, for text that is cleaned already (lower case, white space is ' '). It was written with
 * re.IGNORECASE, by which 'ſ' is an 's', and U+0345 is a letter to the last class, though to no other: it is dropped.
 */
const WORD = /<\|[sſ]tartoftext\|>|<\|endoftext\|>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\u0345\p{L}\p{N} ]+/gu;

/**
 * The tokenizer of OpenAI's CLIP (clip/simple_tokenizer.py), as clip-server uses it.
 *
 * @param vocabPath `bpe_simple_vocab_16e6.txt.gz` as published: a line of version, then merges by rank.
 * @param contextLength ids at most, start and end included. @default 77
 * @throws ClipflowError INVALID_MODEL when the file can't be read or is another.
 */
export async function loadClipBpe(vocabPath: string, contextLength = 77): Promise<TextTokenizer> {
  try {
    const text = (await promisify(gunzip)(await readFile(vocabPath))).toString('utf8');
    return new ClipBpe(parseMerges(text), contextLength);
  } catch (error) {
    throw new ClipflowError(
      'INVALID_MODEL',
      `${vocabPath} is not CLIP's vocabulary (bpe_simple_vocab_16e6.txt.gz): ${toClipflowError(error).message}`,
      { cause: error },
    );
  }
}

class ClipBpe implements TextTokenizer {
  readonly padId = 0;
  readonly #words = new Map<string, readonly number[]>();

  constructor(
    private readonly merges: Merges,
    readonly contextLength: number,
  ) {}

  encode(text: string): Int32Array {
    const ids = [START];
    for (const [word] of cleanText(text).matchAll(WORD)) {
      ids.push(...this.#encodeWord(word));
      if (ids.length >= this.contextLength) break;
    }
    ids.push(END);
    return truncateIds(ids, this.contextLength);
  }

  has(id: number): boolean {
    return Number.isInteger(id) && id >= 0 && id <= END;
  }

  #encodeWord(word: string): readonly number[] {
    const known = this.#words.get(word);
    if (known) return known;
    if (word === '<|startoftext|>') return [START];
    if (word === '<|endoftext|>') return [END];

    // More bytes than fill the context can't matter, but for a few to the right of the cut that merges may look at.
    const bytes = Buffer.from(word).subarray(0, LONGEST_TOKEN * (this.contextLength + 32));
    const ids = Array.from(bytes, (byte) => BYTE_IDS.get(byte) ?? 0);
    ids.push((ids.pop() ?? 0) + BYTES);
    this.merges.apply(ids);

    if (word.length <= CACHE_LENGTH) {
      if (this.#words.size === CACHE_WORDS) this.#words.clear();
      // A string made anew: `word` is a slice that would keep the whole text in memory.
      this.#words.set(bytes.toString(), ids);
    }
    return ids;
  }
}

function parseMerges(file: string): Merges {
  const ids = new Map([...SYMBOLS, ...SYMBOLS.map((symbol) => `${symbol}</w>`)].map((symbol, id) => [symbol, id]));
  const lines = file.split('\n', MERGES + 1).slice(1);
  if (lines.length < MERGES) throw new Error(`it has ${lines.length} merges, expected at least ${MERGES}`);

  const merges = new Merges();
  lines.forEach((line, rank) => {
    const [left = '', right = ''] = line.split(' ');
    const [leftId, rightId] = [ids.get(left), ids.get(right)];
    if (leftId === undefined || rightId === undefined) throw new Error(`line ${rank + 2} merges an unknown token`);
    merges.add(leftId, rightId, 2 * BYTES + rank);
    ids.set(left + right, 2 * BYTES + rank);
  });
  return merges;
}
