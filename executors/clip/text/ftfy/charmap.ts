import { CHARMAPS } from './data.js';

/**
 * A one-byte encoding. Bytes are held in a string, one character of U+0000 to U+00FF each ("binary string"), so that
 * regular expressions work on them.
 */
export class Charmap {
  readonly name: string;
  /**
   * Sloppy encodings are Windows' own, with the unassigned bytes read as Latin-1 and byte 0x1A standing for U+FFFD:
   * a character that was lost already can still take part in a sequence.
   */
  readonly sloppy: boolean;
  readonly #upper: string;
  readonly #bytes: ReadonlyMap<string, string>;

  constructor(name: string, upper: string) {
    this.name = name;
    this.sloppy = name.startsWith('sloppy-');
    this.#upper = upper;
    this.#bytes = new Map(Array.from(upper, (char, i) => [char, String.fromCharCode(0x80 + i)]));
  }

  /** The bytes of `text`, or nothing if this encoding lacks one of its characters. */
  encode(text: string): string | undefined {
    let bytes = '';
    for (let i = 0; i < text.length; i++) {
      const char = text.charAt(i);
      const byte = char < '\x80' ? char : this.sloppy && char === '\ufffd' ? '\x1a' : this.#bytes.get(char);
      if (byte === undefined || (this.sloppy && char === '\x1a')) return undefined;
      bytes += byte;
    }
    return bytes;
  }

  decode(bytes: string): string {
    return bytes.replace(/[\x80-\xff]/g, (byte) => this.#upper.charAt(byte.charCodeAt(0) - 0x80));
  }
}

/** In the order in which they are tried. */
export const ENCODINGS: readonly Charmap[] = CHARMAPS.map(({ name, upper }) => new Charmap(name, upper));

function named(name: string): Charmap {
  const found = ENCODINGS.find((encoding) => encoding.name === name);
  if (!found) throw new Error(`ftfy/data.ts lacks the encoding ${name}; make it anew`);
  return found;
}

export const WINDOWS_1252 = named('sloppy-windows-1252');

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Decodes UTF-8, or nothing if it is not valid. Bytes 0xED and 0xC0 also allow two dialects: CESU-8 (a surrogate pair as
 * two sequences of three bytes) and Java's two-byte NUL.
 */
export function decodeUtf8(bytes: string): string | undefined {
  const plain = bytes
    .replaceAll('\xc0\x80', '\0')
    .replace(/\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]/g, fromCesu8);
  try {
    return UTF8.decode(Buffer.from(plain, 'latin1'));
  } catch {
    return undefined;
  }
}

function fromCesu8(pair: string): string {
  const bits = (index: number, mask: number): number => pair.charCodeAt(index) & mask;
  const code = 0x10000 + (bits(1, 0x0f) << 16) + (bits(2, 0x3f) << 10) + (bits(4, 0x0f) << 6) + bits(5, 0x3f);
  return Buffer.from(String.fromCodePoint(code)).toString('latin1');
}
