import { decodeHTML } from 'entities';
import { WINDOWS_1252 } from './ftfy/charmap.js';

const REFERENCE = /&(?:#\d+;?|#[xX][\da-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/gu;

/**
 * Python's `html.unescape` (3.11): HTML5's names, without the semicolon where HTML5 allows that, and numbers as browsers
 * read them. `entities` knows the names; forbidden numbers it would keep, where Python drops them.
 */
export function unescapeHtml(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(REFERENCE, (reference) => {
    if (reference.charAt(1) !== '#') return decodeHTML(reference);
    const isHex = reference.charAt(2).toLowerCase() === 'x';
    return fromNumber(isHex ? Number.parseInt(reference.slice(3), 16) : Number.parseInt(reference.slice(2), 10));
  });
}

function fromNumber(code: number): string {
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return '\ufffd';
  if (code >= 0x80 && code <= 0x9f) return WINDOWS_1252.decode(String.fromCharCode(code));
  return isForbidden(code) ? '' : String.fromCodePoint(code);
}

/** Control characters that are no whitespace, and what Unicode calls noncharacters. */
function isForbidden(code: number): boolean {
  if (code < 0x20) return ![0x09, 0x0a, 0x0c, 0x0d].includes(code);
  return code === 0x7f || (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe;
}
