import { CATEGORIES } from './data.js';

const {
  common,
  c1,
  bad,
  law,
  currency,
  startPunctuation,
  endPunctuation,
  numeric,
  kaomoji,
  upperAccented,
  lowerAccented,
  upperCommon,
  lowerCommon,
  box,
} = CATEGORIES;

// Python's \s and \w: its whitespace has the separators U+001C to U+001F but not U+FEFF.
const SPACE = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const WORD = '[\\p{L}\\p{N}_]';

/** Sequences that are far likelier in mojibake than in what somebody meant to write: ftfy.badness, line by line. */
const UNLIKELY = [
  `[${c1}]`,
  `[${bad}${lowerAccented}${upperAccented}${box}${startPunctuation}${endPunctuation}${currency}${numeric}${law}][${bad}]`,
  `[a-zA-Z][${lowerCommon}${upperCommon}][${bad}]`,
  `[${bad}][${lowerAccented}${upperAccented}${box}${startPunctuation}${endPunctuation}${currency}${numeric}${law}]`,
  `[${lowerAccented}${lowerCommon}${box}${endPunctuation}${currency}${numeric}][${upperAccented}]`,
  `[${box}${endPunctuation}${currency}${numeric}][${lowerAccented}]`,
  `[${lowerAccented}${box}${endPunctuation}][${currency}]`,
  `${SPACE}[${upperAccented}][${currency}]`,
  `[${upperAccented}${box}][${numeric}${law}]`,
  `[${lowerAccented}${upperAccented}${box}${currency}${endPunctuation}][${startPunctuation}][${numeric}]`,
  `[${lowerAccented}${upperAccented}${currency}${numeric}${box}${law}][${endPunctuation}][${startPunctuation}]`,
  `[${currency}${numeric}${box}][${startPunctuation}]`,
  `[a-z][${upperAccented}][${startPunctuation}${currency}]`,
  `[${box}][${kaomoji}]`,
  `[${lowerAccented}${upperAccented}${currency}${numeric}${startPunctuation}${endPunctuation}${law}][${box}]`,
  `[${box}][${endPunctuation}]`,
  `[${lowerAccented}${upperAccented}][${startPunctuation}${endPunctuation}]${WORD}`,
  // The ligature œ when no unaccented Latin letter follows.
  '[Œœ][^A-Za-z]',
  // Degree signs after capital letters.
  `[${upperAccented}]°`,
  // Windows-1252: pairs that the lines above don't cover, squared and cubed signs, Arabic words.
  `[ÂÃÎÐ][€œŠš¢£Ÿž\\xa0\\xad®©°·»${startPunctuation}${endPunctuation}–—´]`,
  '×[²³]',
  `(?:[ØÙ][${common}${currency}${bad}${numeric}${startPunctuation}ŸŠ®°µ»]){2}`,
  // Windows-1252: starts of South Asian letters.
  'à[²µ¹¼½¾]',
  // MacRoman.
  '√[±∂†≠®™´≤≥¥µø]',
  '≈[°¢]',
  '‚Ä[ìîïòôúùû†°¢π]',
  '‚[âó][àä°ê]',
  // Windows-1251: U+2000 and up, Latin-1 and Cyrillic, and twice mangled Windows-1252 next to a Latin letter.
  'вЂ',
  `[ВГРС][${c1}${bad}${startPunctuation}${endPunctuation}${currency}°µ][ВГРС]`,
  'ГўВЂВ[^\\n][A-Za-z ]',
  // Windows-1252: à and á, and the no-break space.
  'Ã[\\xa0¡]',
  `[a-z]${SPACE}?[ÃÂ][ ]`,
  '^[ÃÂ][ ]',
  // Â before a character that it is the encoding of, where that character is common enough.
  `[a-z.,?!${endPunctuation}]Â[ ${startPunctuation}${endPunctuation}]`,
  // Windows-1253: U+2000 and up, Latin-1 and Greek.
  'β€[™\\xa0Ά\\xad®°]',
  `[ΒΓΞΟ][${c1}${bad}${startPunctuation}${endPunctuation}${currency}°][ΒΓΞΟ]`,
  // Windows-1257: U+2000 and up.
  'ā€',
];

const BADNESS = new RegExp(UNLIKELY.join('|'), 'u');

/** Whether `text` looks as if it had been read in the wrong encoding. */
export function isBad(text: string): boolean {
  return BADNESS.test(text);
}
