import { readFile } from 'node:fs/promises';
import { Tokenizer as AnyTokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { ClipflowError, toClipflowError } from '../../../src/errors.js';
import { cleanText, type Cleaning } from './clean.js';
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
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
};

const TokenizerJson = z.looseObject({
  model: z.looseObject({}),
  padding: z.looseObject({ pad_id: z.int().nonnegative().optional() }).nullish(),
});

export interface TokenizerJsonOptions {
  /** Ids at most, start and end included. */
  contextLength: number;
  /** The token that rows are padded with. @default `padding.pad_id` of the file, or the one of id 0 */
  padToken?: string;
  /** How texts are cleaned before the file's own normalizer. @default not at all */
  clean?: Cleaning;
}

/**
 * The tokenizer of a model folder that brings a `tokenizer.json` (Hugging Face, OpenCLIP, SigLIP). The file itself says
 * how texts are normalized (CLIP's: NFC, white space, lower case), without ftfy.
 *
 * @throws ClipflowError INVALID_MODEL when the file can't be read or is no tokenizer.
 */
export async function loadTokenizerJson(path: string, options: TokenizerJsonOptions): Promise<TextTokenizer> {
  try {
    const json = TokenizerJson.parse(JSON.parse(await readFile(path, 'utf8')));
    const tokenizer = new Tokenizer(json, {});
    const { contextLength, padToken, clean } = options;
    const padId = padToken === undefined ? (json.padding?.pad_id ?? 0) : tokenizer.token_to_id(padToken);
    if (padId === undefined) throw new Error(`it lacks the token "${padToken}" that texts are padded with`);
    return {
      contextLength,
      padId,
      has: (id) => tokenizer.id_to_token(id) !== undefined,
      encode: (text) => {
        const cleaned = clean === undefined ? text : cleanText(text, clean);
        return truncateIds(tokenizer.encode(cleaned.slice(0, CHARS_PER_TOKEN * contextLength)).ids, contextLength);
      },
    };
  } catch (error) {
    throw new ClipflowError('INVALID_MODEL', `${path} is not a tokenizer.json: ${toClipflowError(error).message}`, {
      cause: error,
    });
  }
}
