import { readFile } from 'node:fs/promises';
import { Tokenizer as AnyTokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { ClipflowError, toClipflowError } from '../../../src/errors.js';
import { truncateIds, type TextTokenizer } from './tokenizer.js';

/**
 * Characters (UTF-16 units) of a text that are looked at, for each token of the context: more than any token has, and
 * few enough that no text can hold up the thread.
 */
const CHARS_PER_TOKEN = 64;

/** The package's own typings import files without their extension, which Node's resolution does not find. */
const Tokenizer = AnyTokenizer as unknown as new (
  json: object,
  config: object,
) => {
  encode(text: string): { ids: number[] };
};

const TokenizerJson = z.looseObject({
  model: z.looseObject({}),
  padding: z.looseObject({ pad_id: z.int().nonnegative().optional() }).nullish(),
});

export interface TokenizerJsonOptions {
  /** Ids at most, start and end included. */
  contextLength: number;
  /** @default `padding.pad_id` of the file, or 0 */
  padId?: number;
}

/**
 * The tokenizer of a model folder that brings a `tokenizer.json` (Hugging Face, OpenCLIP, SigLIP). It cleans the text as
 * the file says (CLIP's: NFC, white space, lower case), without ftfy.
 *
 * @throws ClipflowError INVALID_MODEL when the file can't be read or is no tokenizer.
 */
export async function loadTokenizerJson(path: string, options: TokenizerJsonOptions): Promise<TextTokenizer> {
  try {
    const json = TokenizerJson.parse(JSON.parse(await readFile(path, 'utf8')));
    const tokenizer = new Tokenizer(json, {});
    const { contextLength, padId = json.padding?.pad_id ?? 0 } = options;
    return {
      contextLength,
      padId,
      encode: (text) =>
        truncateIds(tokenizer.encode(text.slice(0, CHARS_PER_TOKEN * contextLength)).ids, contextLength),
    };
  } catch (error) {
    throw new ClipflowError('INVALID_MODEL', `${path} is not a tokenizer.json: ${toClipflowError(error).message}`, {
      cause: error,
    });
  }
}
