import { isBad } from './badness.js';
import { decodeUtf8, ENCODINGS, WINDOWS_1252 } from './charmap.js';
import { UTF8_CLUES } from './data.js';

// The names, the order and the expressions below are those of ftfy.chardata and ftfy.fixes, where each is explained.

/** UTF-8 that would be valid had not a program turned the byte 0xA0 into a space. */
const ALTERED_UTF8 = new RegExp(
  [
    '[\\xc2\\xc3\\xc5\\xce\\xd0\\xd9][ ]',
    '[\\xe2\\xe3][ ][\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf]',
    '[\\xe0-\\xe3][\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf][ ]',
    '[\\xf0][ ][\\x80-\\xbf][\\x80-\\xbf]',
    '[\\xf0][\\x80-\\xbf][ ][\\x80-\\xbf]',
    '[\\xf0][\\x80-\\xbf][\\x80-\\xbf][ ]',
  ].join('|'),
  'g',
);

/** "Ã " as a word of its own is "à", and its space stays; but not in Portuguese "àquele", "às" and their like. */
const A_GRAVE_WORD = /\xc3 (?! |quele|quela|quilo|s )/g;

/** UTF-8 and CESU-8 of which some bytes were lost: 0x1A stands for those, and at most one of them may be a '?'. */
const LOSSY_UTF8 = new RegExp(
  [
    '[\\xc2-\\xdf][\\x1a]',
    '[\\xc2-\\xc3][?]',
    '\\xed[\\xa0-\\xaf][\\x1a?]\\xed[\\xb0-\\xbf][\\x1a?\\x80-\\xbf]',
    '\\xed[\\xa0-\\xaf][\\x1a?\\x80-\\xbf]\\xed[\\xb0-\\xbf][\\x1a?]',
    '[\\xe0-\\xef][\\x1a?][\\x1a\\x80-\\xbf]',
    '[\\xe0-\\xef][\\x1a\\x80-\\xbf][\\x1a?]',
    '[\\xf0-\\xf4][\\x1a?][\\x1a\\x80-\\xbf][\\x1a\\x80-\\xbf]',
    '[\\xf0-\\xf4][\\x1a\\x80-\\xbf][\\x1a?][\\x1a\\x80-\\xbf]',
    '[\\xf0-\\xf4][\\x1a\\x80-\\xbf][\\x1a\\x80-\\xbf][\\x1a?]',
    '\\x1a',
  ].join('|'),
  'g',
);

/** U+FFFD in UTF-8. */
const REPLACEMENT = '\xef\xbf\xbd';

const { firstOf2, firstOf3, firstOf4, continuation, continuationStrict } = UTF8_CLUES;

/** Runs of what looks like UTF-8 read in a one-byte encoding, and does not begin in the middle of a longer garble. */
const UTF8_DETECTOR = new RegExp(
  `(?<![${continuationStrict}])` +
    `(?:[${firstOf2}][${continuation}]|[${firstOf3}][${continuation}]{2}|[${firstOf4}][${continuation}]{3})+`,
  'gu',
);

const C1_CONTROL = /[\x80-\x9f]/g;

/** Undoes mojibake, as often as it was made. */
export function fixEncoding(text: string): string {
  let fixed = text;
  for (;;) {
    const before = fixed;
    fixed = fixOnce(before);
    if (fixed === before) return fixed;
  }
}

function fixOnce(text: string): string {
  if (/^\p{ASCII}*$/u.test(text) || !isBad(text)) return text;

  for (const encoding of ENCODINGS) {
    const bytes = encoding.encode(text);
    if (bytes === undefined) continue;
    // In MacRoman an en dash followed by a space would look like an altered sequence.
    const restored = encoding.name === 'macroman' ? bytes : restoreByteA0(bytes);
    const decoded = decodeUtf8(encoding.sloppy ? restored.replace(LOSSY_UTF8, REPLACEMENT) : restored);
    if (decoded !== undefined) return decoded;
  }

  const inconsistent = decodeInconsistentUtf8(text);
  if (inconsistent !== text) return inconsistent;

  // C1 control characters are of no use to anybody: they were meant as Windows-1252.
  return fixC1Controls(text);
}

function restoreByteA0(bytes: string): string {
  if (bytes.search(ALTERED_UTF8) < 0) return bytes;
  return bytes.replace(A_GRAVE_WORD, '\xc3\xa0 ').replace(ALTERED_UTF8, (found) => found.replaceAll(' ', '\xa0'));
}

/** Fixes what looks like UTF-8 in the midst of text in another encoding. */
function decodeInconsistentUtf8(text: string): string {
  // Only a part that is shorter than the whole, or this would never end.
  return text.replace(UTF8_DETECTOR, (part) => (part.length < text.length && isBad(part) ? fixEncoding(part) : part));
}

export function fixC1Controls(text: string): string {
  return text.replace(C1_CONTROL, (char) => WINDOWS_1252.decode(char));
}
