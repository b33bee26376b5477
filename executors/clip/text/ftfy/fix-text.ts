import { unescapeHtml } from '../html-unescape.js';
import { LIGATURES } from './data.js';
import { fixC1Controls, fixEncoding } from './fix-encoding.js';

const ENTITY = /&#?[0-9A-Za-z]{1,24};/g;
const LIGATURE = new RegExp(`[${Object.keys(LIGATURES).join('')}]`, 'g');
const ESC = '\x1b';
const TERMINAL_ESCAPE = new RegExp(`${ESC}\\[[\\p{Nd};]*[a-zA-Z]`, 'gu');
// ASCII controls but for whitespace, deprecated Arabic controls, the byte order mark, annotations and U+FFFC.
const CONTROL = /(?![\t\n\f\r\x80-\x9f])\p{Cc}|[\u206a-\u206f\ufeff\ufff9-\ufffc]/gu;

/** Passes over a line until nothing changes any more: ftfy sets no limit, by which '&amp;amp;amp;...' takes for ever. */
const MAX_PASSES = 32;

/**
 * `ftfy.fix_text` of ftfy 6.3.1 with its defaults, ported from https://github.com/rspeer/python-ftfy (Robyn Speer,
 * Apache-2.0): undoes mojibake, unescapes HTML where no tag is in sight, straightens quotes, widths, ligatures, line
 * breaks and control characters, and composes (NFC). Works line by line.
 */
export function fixText(text: string): string {
  let fixed = '';
  let unescape = true;
  for (const line of text.split(/(?<=\n)/)) {
    // Once a '<' was seen this is HTML, in which entities are meant.
    unescape &&= !line.includes('<');
    fixed += fixLine(line, unescape);
  }
  return fixed;
}

function fixLine(line: string, unescape: boolean): string {
  let fixed = line;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const before = fixed;
    fixed = fixEncoding(unescape ? before.replace(ENTITY, fixEntity) : before);
    fixed = fixC1Controls(fixed)
      .replace(LIGATURE, (char) => LIGATURES[char] ?? char)
      .replace(/[\u3000\uff01-\uffef]/g, fixWidth)
      .replace(/[\u201c-\u201f]/g, '"')
      .replace(/[\u02bc\u2018-\u201b]/g, "'")
      .replace(/\r\n|[\r\u2028\u2029\x85]/g, '\n')
      .replace(/\p{Surrogate}/gu, '\ufffd')
      .replace(TERMINAL_ESCAPE, '')
      .replace(CONTROL, '')
      .normalize('NFC');
    if (fixed === before) break;
  }
  return fixed;
}

/** Decodes one entity that ends in ';', also one in capitals (&EACUTE;) that would mean nothing otherwise. */
function fixEntity(entity: string): string {
  const decoded = unescapeWhole(entity);
  if (decoded !== undefined) return decoded;
  if (entity !== entity.toUpperCase() || unescapeHtml(entity) !== entity) return entity;
  return unescapeWhole(entity.toLowerCase())?.toUpperCase() ?? entity;
}

/** What the whole of `entity` stands for; a semicolon left over means that at most its beginning stands for something. */
function unescapeWhole(entity: string): string | undefined {
  const decoded = unescapeHtml(entity);
  return decoded.includes(';') && entity !== '&semi;' ? undefined : decoded;
}

function fixWidth(char: string): string {
  return char === '\u3000' ? ' ' : char.normalize('NFKC');
}
