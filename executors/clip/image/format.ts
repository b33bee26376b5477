import { ClipflowError } from '../../../src/errors.js';

/** Image formats that are decoded. */
export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif';

const DECODED = 'jpeg, png, webp, gif, tiff, avif';

// Bytes as latin1, by offset. An AVIF or HEIC file names its kind in the brand after 'ftyp'.
const IMAGES: readonly [ImageFormat, ...[offset: number, text: string][]][] = [
  ['jpeg', [0, '\xff\xd8\xff']],
  ['png', [0, '\x89PNG\r\n\x1a\n']],
  ['webp', [0, 'RIFF'], [8, 'WEBP']],
  ['gif', [0, 'GIF87a']],
  ['gif', [0, 'GIF89a']],
  ['tiff', [0, 'II*\0']],
  ['tiff', [0, 'MM\0*']],
  ['tiff', [0, 'II+\0']],
  ['tiff', [0, 'MM\0+']],
  ['avif', [4, 'ftypavif']],
  ['avif', [4, 'ftypavis']],
];

const OTHERS: readonly [string, ...[offset: number, text: string][]][] = [
  ['a BMP image', [0, 'BM']],
  ['a HEIC image', [4, 'ftyphei']],
  ['a HEIC image', [4, 'ftyphev']],
  ['a HEIC image', [4, 'ftypmif1']],
  ['a JPEG XL image', [0, '\xff\x0a']],
  ['a JPEG XL image', [4, 'JXL ']],
  ['a JPEG 2000 image', [4, 'jP  ']],
  ['an icon file', [0, '\0\0\x01\0']],
  ['a Photoshop file', [0, '8BPS']],
  ['a PDF', [0, '%PDF']],
  ['a video', [4, 'ftyp']],
  ['a video', [0, '\x1aE\xdf\xa3']],
  ['a ZIP archive', [0, 'PK\x03\x04']],
  ['gzip data', [0, '\x1f\x8b']],
  ['a data: URI as text (send it as the uri)', [0, 'data:']],
];

/**
 * The format of an image by its first bytes.
 *
 * @throws ClipflowError INVALID_DOCUMENT, which says what the bytes look like.
 */
export function identifyFormat(bytes: Uint8Array): ImageFormat {
  if (bytes.length === 0) throw new ClipflowError('INVALID_DOCUMENT', 'The image has zero bytes.');
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 512)).toString('latin1');
  const format = find(IMAGES, head);
  if (format !== undefined) return format;
  const start = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw new ClipflowError(
    'INVALID_DOCUMENT',
    `The image cannot be decoded: its first bytes (${start}) look like ${find(OTHERS, head) ?? textKind(head)}. ` +
      `Convert it to one of: ${DECODED}.`,
  );
}

function find<T>(table: readonly [T, ...[offset: number, text: string][]][], head: string): T | undefined {
  return table.find(([, ...marks]) => marks.every(([offset, text]) => head.startsWith(text, offset)))?.[0];
}

function textKind(head: string): string {
  if (/<svg[\s>]/i.test(head)) return 'an SVG, which is not decoded because it is no raster image';
  if (/^\s*<(!doctype html|html)/i.test(head)) return 'an HTML page';
  return /^[\t\n\r\x20-\x7e]+$/.test(head) ? 'plain text' : 'no known image';
}
