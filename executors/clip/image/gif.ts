/** Where GIF87a/89a put things (https://www.w3.org/Graphics/GIF/spec-gif89a.txt). */
const HEADER = 13;
const EXTENSION = 0x21;
const GRAPHIC_CONTROL = 0xf9;
const IMAGE = 0x2c;

/**
 * The palette colour that the first frame of a GIF declares transparent. PIL lets it show when it converts to RGB;
 * sharp's decoder leaves black there.
 */
export function transparentColour(gif: Uint8Array): readonly [number, number, number] {
  const at = (offset: number) => gif[offset] ?? 0;
  const tableBytes = (flags: number) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  let palette = HEADER;
  let transparent = 0;
  let offset = HEADER + tableBytes(at(10));
  while (at(offset) === EXTENSION) {
    if (at(offset + 1) === GRAPHIC_CONTROL) transparent = at(offset + 6);
    offset += 2;
    while (at(offset) !== 0) offset += at(offset) + 1;
    offset += 1;
  }
  if (at(offset) === IMAGE && tableBytes(at(offset + 9)) > 0) palette = offset + 10;
  const colour = palette + 3 * transparent;
  return [at(colour), at(colour + 1), at(colour + 2)];
}
