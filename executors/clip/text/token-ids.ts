import type { NdArray } from '../../../src/document/ndarray.js';
import { ClipflowError } from '../../../src/errors.js';
import { truncateIds, type TextTokenizer } from './tokenizer.js';

const INTEGER = /^[<>|]?[iu][1-8]$/;

/** A row of integers is a text that somebody else has tokenized: no picture has one axis. */
export function isTokenIds(tensor: NdArray | undefined): tensor is NdArray {
  return tensor?.shape.length === 1 && INTEGER.test(tensor.dtype);
}

/**
 * The ids of a tokenized text, as `encode` would give them: without the padding after their end, and cut to the context
 * length. They must be framed as the tokenizer frames a text (CLIP: 49406 ... 49407), because nothing else tells them
 * from the ids of another vocabulary.
 * @throws ClipflowError INVALID_DOCUMENT
 */
export function readTokenIds(tensor: NdArray, tokenizer: TextTokenizer): Int32Array {
  const ids = Array.from(tensor.elements(), Number);
  const frame = [...tokenizer.encode('')];
  const end = frame.at(-1);
  const start = frame.slice(0, -1);
  const length = end === undefined ? 0 : ids.indexOf(end) + 1;
  const isFramed = length >= frame.length && start.every((id, index) => ids[index] === id);
  const isPadded = ids.slice(length).every((id) => id === tokenizer.padId || id === end);
  if (end === undefined || length === 0 || !isFramed || !isPadded || !ids.every((id) => tokenizer.has(id))) {
    const wanted = [...start, '...', end ?? ''].join(' ');
    throw new ClipflowError(
      'INVALID_DOCUMENT',
      `these tokens are not the model's own (${wanted}, padded with ${tokenizer.padId} or not at all); tokens of other ` +
        'vocabularies, such as those of tiktoken, mean something else here: send the text',
    );
  }
  return truncateIds(ids.slice(0, length), tokenizer.contextLength);
}
