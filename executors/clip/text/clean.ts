import { fixText } from './ftfy/fix-text.js';
import { unescapeHtml } from './html-unescape.js';

/**
 * Characters (UTF-16 units) of a text that are looked at. A context of 77 tokens is full long before, unless the text
 * begins with as much white space or markup; and no text can hold up the thread.
 */
const MAX_LENGTH = 16_384;

/** ASCII without control characters and '&': of this ftfy and html.unescape change nothing. */
const PLAIN = /^[\t\n\f\r\x20-%'-~]*$/;

/** `\s` of Python's `regex`: other than JavaScript's it has U+0085 and lacks U+FEFF. */
const WHITESPACE = /[\t-\r\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;

/** Python's `string.punctuation`. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

/**
 * What is done to a text beyond ftfy, HTML unescaped twice and white space collapsed and stripped, by open_clip's names
 * (src/open_clip/tokenizer.py, get_clean_fn): `lower` makes it lower case, as OpenAI's and clip-server's
 * `simple_tokenizer` do; `canonicalize`, which SigLIP was trained with, drops ASCII punctuation too.
 */
export const CLEANINGS = ['lower', 'whitespace', 'canonicalize'] as const;
export type Cleaning = (typeof CLEANINGS)[number];

export function cleanText(text: string, cleaning: Cleaning = 'lower'): string {
  const start = text.slice(0, MAX_LENGTH);
  const fixed = PLAIN.test(start) ? start : unescapeHtml(unescapeHtml(fixText(start)));
  switch (cleaning) {
    case 'lower':
      return collapse(fixed).toLowerCase();
    case 'whitespace':
      return collapse(fixed);
    case 'canonicalize':
      return collapse(fixed.replaceAll('_', ' ').replace(PUNCTUATION, '').toLowerCase());
  }
}

function collapse(text: string): string {
  return text.replace(WHITESPACE, ' ').replace(/^ | $/g, '');
}
