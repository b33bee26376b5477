import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { pino, type Logger } from 'pino';
import { z } from 'zod';
import { createSession, type Session } from '../../../../executors/clip/model/session.js';
import { textSample } from '../../../../executors/clip/model/feeds.js';
import { rewriteModel, type Rewriting } from '../../../../executors/clip/model/optimize/graph-parts.js';
import { optimizeText, type TextTower } from '../../../../executors/clip/model/optimize/text-tower.js';
import { embedTexts } from '../../../../executors/clip/model/embed.js';
import { truncateIds, type TextTokenizer } from '../../../../executors/clip/text/tokenizer.js';
import { CONTEXT, silent } from '../model/support.js';

// From dist/test/unit/clip/optimize/ to the source tree.
const FIXTURES = fileURLToPath(new URL('../../../../../test/unit/clip/optimize/fixtures/', import.meta.url));

export const fixture = (name: string) => join(FIXTURES, name);

const vectors = z.array(z.array(z.number()));
/** What torch computes for the weights of causal.onnx, visual.onnx and visual-batch-first.onnx: see make.py. */
export const torch = z
  .object({ ids: vectors, vectors, pictures: vectors, embeddings: z.record(z.string(), vectors) })
  .parse(JSON.parse(await readFile(fixture('expected.json'), 'utf8')));

const [START, END] = [98, 99];

type LogLine = z.output<typeof logLine>;
const logLine = z.object({ event: z.string(), buckets: z.array(z.number()).optional(), reason: z.string().optional() });

/** A word is the token of its length: for the vocabulary of make.py. */
export const wordLengths: TextTokenizer = {
  contextLength: CONTEXT,
  padId: 0,
  has: (id) => id <= END,
  encode: (text) =>
    truncateIds(
      [
        START,
        ...text
          .split(' ')
          .filter(Boolean)
          .map((word) => word.length % START || 1),
        END,
      ],
      CONTEXT,
    ),
};

/** A session for texts of up to 77 tokens, closed when the test ends. */
export async function openText(t: TestContext, path: string, model?: Uint8Array<ArrayBuffer>): Promise<Session> {
  const sample = textSample(CONTEXT);
  const session = await createSession({ path, model, device: 'cpu', intraOpNumThreads: 2, sample, log: silent });
  t.after(() => session.close());
  return session;
}

export const vectorsOf = (session: Session, texts: readonly Int32Array[], length: number) =>
  embedTexts(session, (feeds) => session.run(feeds), texts, length, 0);

/**
 * Optimizes the text graph of a file, and says what was logged.
 * @param change what becomes of the rewritten graph before it is loaded
 */
export async function optimized(
  t: TestContext,
  path: string,
  wanted: { trim: boolean; prune: boolean },
  change: (model: Buffer) => void = () => {},
): Promise<TextTower & { bare: Session; logged: LogLine[] }> {
  const { log, logged } = recorded();
  const bare = await openText(t, path);
  const open = (model?: Uint8Array<ArrayBuffer>) => {
    if (model) change(Buffer.from(model.buffer));
    return openText(t, path, model);
  };
  const tower = await optimizeText(bare, { path, tokenizer: wordLengths, log, open, ...wanted });
  return { ...tower, bare, logged };
}

/** A model rewritten so. */
export function rewritten(model: Uint8Array, ...rewritings: Rewriting[]): Uint8Array<ArrayBuffer> {
  const result = rewriteModel(model, rewritings);
  assert.ok('model' in result, 'reason' in result ? result.reason : '');
  return result.model;
}

/** Why a model cannot be rewritten so; empty if it can. */
export function reasonAgainst(model: Uint8Array, rewriting: Rewriting): string {
  const result = rewriteModel(model, [rewriting]);
  return 'reason' in result ? result.reason : '';
}

/** Whatever happens to a model's bytes: a model or a reason, and nothing is thrown. */
export function assertSurvivesDamage(model: Uint8Array, rewriting: Rewriting): void {
  const damage = fc.array(fc.tuple(fc.nat(model.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(damage, (changes) => {
      const damaged = Uint8Array.from(model);
      for (const [offset, byte] of changes) damaged[offset] = byte;
      rewriteModel(damaged, [rewriting]);
    }),
    { numRuns: 50 },
  );
}

/** A log that keeps what it is told. */
export function recorded(): { log: Logger; logged: LogLine[] } {
  const logged: LogLine[] = [];
  const log = pino({ base: null, timestamp: false }, { write: (line) => logged.push(logLine.parse(JSON.parse(line))) });
  return { log, logged };
}

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const dot = Array.from(a).reduce((sum, value, i) => sum + value * (b[i] ?? Number.NaN), 0);
  return dot / (Math.hypot(...Array.from(a)) * Math.hypot(...Array.from(b)));
}
