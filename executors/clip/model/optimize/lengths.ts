/** Texts are padded to one of these, or to the context length. */
const LENGTHS = [8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512];

/**
 * What a run costs beside its tokens, in tokens. Measured on two cores with the text tower of ViT-B/32 (8 ms a run,
 * 0.3 ms a token) and with tiny-clip (0.3 ms, 0.01 ms); reading the weights takes it.
 */
export const RUN_TOKENS = 24;

/** Lengths that texts are computed at, rising; the last is the context length. */
export function trimmedLengths(contextLength: number): number[] {
  return [...LENGTHS.filter((length) => length < contextLength), contextLength];
}

/** Texts that are computed together. */
export interface LengthGroup {
  /** What they are padded to. */
  length: number;
  /** Token ids, and which of the texts they are. */
  texts: { ids: Int32Array; row: number }[];
}

/**
 * Groups texts by the shortest of the lengths that holds them; a group whose longer padding costs less than a run of its
 * own joins the next one.
 * @param texts token ids of each
 * @param lengths rising; the last holds every text
 */
export function groupByLength(texts: readonly Int32Array[], lengths: readonly number[]): LengthGroup[] {
  const all = lengths.map((length): LengthGroup => ({ length, texts: [] }));
  texts.forEach((ids, row) => {
    const group = all.find(({ length }) => length >= ids.length) ?? all.at(-1);
    group?.texts.push({ ids, row });
  });
  const groups = all.filter(({ texts }) => texts.length > 0);
  return groups.filter(({ length, texts }, index) => {
    const next = groups[index + 1];
    if (next === undefined || texts.length * (next.length - length) >= RUN_TOKENS) return true;
    next.texts.push(...texts);
    return false;
  });
}
