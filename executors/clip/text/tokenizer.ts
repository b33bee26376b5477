/** Turns a text into the ids that a CLIP text tower reads. */
export interface TextTokenizer {
  /** Most ids that `encode` gives, start and end included. */
  readonly contextLength: number;
  /** The id that fills a row of a batch up to its width. */
  readonly padId: number;
  /** Ids with start and end, cut to `contextLength` with the end kept, not padded. */
  encode(text: string): Int32Array;
  /** Whether the vocabulary has this id. */
  has(id: number): boolean;
}

/** `ids` cut to `contextLength`; the last id, which ends the text, is kept. */
export function truncateIds(ids: readonly number[], contextLength: number): Int32Array {
  const last = ids.at(-1);
  if (ids.length <= contextLength || last === undefined) return Int32Array.from(ids);
  const cut = Int32Array.from(ids.slice(0, contextLength));
  cut[contextLength - 1] = last;
  return cut;
}
