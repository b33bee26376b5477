import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';

// Compiled to dist/test/unit/clip/text; the fixtures stay in the source tree.
const ROOT = new URL('../../../../../', import.meta.url);

export const VOCABULARY = fileURLToPath(new URL('models/tiny-clip/bpe_simple_vocab_16e6.txt.gz', ROOT));

export function readJson<T>(path: string, schema: z.ZodType<T>): T {
  return schema.parse(JSON.parse(readFileSync(new URL(path, ROOT), 'utf8')));
}

const Ids = z.array(z.int());
const Row = z.union([
  z.object({ text: z.string(), clean: z.string(), ids: Ids }),
  z.object({ parts: z.array(z.tuple([z.string(), z.int()])), ids: Ids }),
]);

const rows = readJson('test/fixtures/tokens/corpus.json', z.array(Row));

/** Texts with what Python's tokenizer of CLIP makes of them. */
export const CORPUS = rows.flatMap((row) => ('text' in row ? [row] : []));

/** Long texts with their ids. */
export const LONG = rows.flatMap((row) =>
  'text' in row ? [] : [{ text: row.parts.map(([part, times]) => part.repeat(times)).join(''), ids: row.ids }],
);

/** A folder of its own, gone when the scope ends. */
export function tempFolder(): { path(name: string): string; write(name: string, data: string): string } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), 'clipflow-tokens-'));
  const path = (name: string): string => join(folder, name);
  return {
    path,
    write: (name, data) => {
      writeFileSync(path(name), data);
      return path(name);
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}

/** The tokenizer.json that Hugging Face's CLIPTokenizerFast has, made from the published vocabulary. */
export function clipTokenizerJson(): string {
  const merges = gunzipSync(readFileSync(VOCABULARY)).toString('utf8').split('\n').slice(1, 48_895);
  // bytes_to_unicode of the publication: printable Latin-1 first, then U+0100 and on.
  const latin = Array.from({ length: 256 }, (_, byte) => byte).filter((b) =>
    /[!-~¡-¬®-ÿ]/.test(String.fromCharCode(b)),
  );
  const codes = [...latin, ...Array.from({ length: 256 - latin.length }, (_, i) => 0x100 + i)];
  const symbols = codes.map((code) => String.fromCharCode(code));
  const ends = ['<|startoftext|>', '<|endoftext|>'];
  const tokens = [...symbols, ...symbols.map((s) => `${s}</w>`), ...merges.map((m) => m.replace(' ', '')), ...ends];
  const special = { single_word: false, lstrip: false, rstrip: false, special: true };
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: ends.map((content, i) => ({ ...special, id: 49_406 + i, content, normalized: i === 0 })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: { Regex: "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" },
          behavior: 'Removed',
          invert: true,
        },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true },
      ],
    },
    post_processor: {
      type: 'RobertaProcessing',
      sep: ['<|endoftext|>', 49_407],
      cls: ['<|startoftext|>', 49_406],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<|endoftext|>',
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      fuse_unk: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  });
}
