import { z } from 'zod';
import type { FileStore } from './store/file-store.js';

/** Where the chunks of an input start. A document is a line that is not blank. */
export const LineIndex = z.object({
  documents: z.number(),
  bytes: z.number(),
  /** Of its first line: offset in bytes, number of the line, and how many documents stand before it. */
  chunks: z.array(z.tuple([z.number(), z.number(), z.number()])),
});
export type LineIndex = z.output<typeof LineIndex>;

/** A chunk ends after so many bytes, however few lines they are: images may stand in the lines. */
const CHUNK_BYTES = 8 * 2 ** 20;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Cuts a stream of lines into chunks of `chunkLines`, and of some more than `chunkBytes` at most. */
export async function indexLines(
  content: AsyncIterable<Uint8Array>,
  chunkLines: number,
  chunkBytes = CHUNK_BYTES,
): Promise<LineIndex> {
  const chunks: LineIndex['chunks'] = [];
  let [offset, line, lineStart, documents, blank] = [0, 0, 0, 0, true];
  const startLine = (): void => {
    const [chunkOffset, chunkLine] = chunks.at(-1) ?? [-Infinity, -Infinity];
    if (line - chunkLine >= chunkLines || lineStart - chunkOffset >= chunkBytes) {
      chunks.push([lineStart, line, documents]);
    }
  };
  for await (const piece of content) {
    for (let at = 0; at < piece.length;) {
      if (offset + at === lineStart) startLine();
      const newline = piece.indexOf(NEWLINE, at);
      const end = newline < 0 ? piece.length : newline;
      blank &&= isBlank(piece.subarray(at, end));
      at = end + 1;
      if (newline < 0) continue;
      documents += blank ? 0 : 1;
      line += 1;
      lineStart = offset + at;
      blank = true;
    }
    offset += piece.length;
  }
  // The last line may end without a newline.
  return { documents: blank ? documents : documents + 1, bytes: offset, chunks };
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === RETURN);
}

export interface Line {
  /** As editors count: from 1. */
  line: number;
  /** Which document of the input it is: from 0. */
  index: number;
  text: string;
}

/** Documents of a chunk. */
export function documentsOf({ chunks, documents }: LineIndex, chunk: number): number {
  const [, , start] = chunks[chunk] ?? [0, 0, documents];
  const [, , end] = chunks[chunk + 1] ?? [0, 0, documents];
  return end - start;
}

/** The lines of a chunk, without those that are blank. */
export async function readChunk(store: FileStore, key: string, index: LineIndex, chunk: number): Promise<Line[]> {
  const [start, firstLine, firstDocument] = index.chunks[chunk] ?? [index.bytes, 0, index.documents];
  const [end] = index.chunks[chunk + 1] ?? [index.bytes];
  const pieces: Buffer[] = [];
  for await (const piece of await store.read(key, { start, end })) pieces.push(piece as Buffer);
  const lines = Buffer.concat(pieces).toString('utf8').split('\n');
  const numbered = lines.map((text, at) => ({ line: firstLine + at + 1, text }));
  return numbered.filter(({ text }) => text.trim() !== '').map((line, at) => ({ ...line, index: firstDocument + at }));
}
