import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { documentsOf, indexLines, readChunk, type Line } from '../../../src/jobs/lines.js';
import type { FileStore } from '../../../src/jobs/store/file-store.js';

/** The one file of a store. */
function storeOf(content: Buffer): FileStore {
  return {
    read: async (_key: string, { start = 0, end = content.length } = {}) =>
      Readable.from([content.subarray(start, end)]),
  } as Partial<FileStore> as FileStore;
}

function* piecesOf(content: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

/** What an editor shows: numbered lines, those that are blank left out. */
function numbered(text: string): Line[] {
  const lines = text.split('\n').map((line, at) => ({ line: at + 1, text: line }));
  return lines.filter(({ text: one }) => one.trim() !== '').map((line, index) => ({ ...line, index }));
}

describe('chunks of lines', () => {
  test('hold each line once, in order, numbered as an editor does, however the bytes arrive', async () => {
    const line = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.constantFrom('', ' ', '\t', '\r', '{}\r', 'ü'),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          line.map((one) =>
            one
              .replaceAll('\n', '')
              .replaceAll(/[\v\f\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]/g, 'x'),
          ),
          { maxLength: 40 },
        ),
        fc.boolean(),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 30 }),
        async (lines, ends, chunkLines, chunkBytes, pieceSize) => {
          const content = Buffer.from(lines.join('\n') + (ends ? '\n' : ''));
          const text = content.toString('utf8');
          const index = await indexLines(Readable.from(piecesOf(content, pieceSize)), chunkLines, chunkBytes);
          const chunks = await Promise.all(
            index.chunks.map((_, chunk) => readChunk(storeOf(content), 'f', index, chunk)),
          );
          assert.deepEqual(chunks.flat(), numbered(text));
          assert.equal(index.documents, numbered(text).length);
          chunks.forEach((chunk, at) => {
            assert.ok(chunk.length <= chunkLines);
            assert.equal(documentsOf(index, at), chunk.length);
          });
        },
      ),
      { numRuns: 300 },
    );
  });

  test('an empty file has none', async () => {
    assert.deepEqual(await indexLines(Readable.from([]), 10), { documents: 0, bytes: 0, chunks: [] });
  });
});
