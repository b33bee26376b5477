import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { toClipflowError } from '../../../../src/errors.js';
import { discard } from '../discard.js';
import type { Session } from '../session.js';
import { rewriteModel, type Rewriting, type Rewritten } from './graph-parts.js';

export interface GraphFile {
  /** File of the graph. */
  path: string;
  /** Loads the graph, or `model` in its place. */
  open: (model?: Uint8Array<ArrayBuffer>) => Promise<Session>;
  log: Logger;
}

/** What a graph can be rewritten for. */
export type Optimization = 'trim_text' | 'prune_last_block';

/** How to rewrite the graph for what is wanted. */
export type Optimizations = Readonly<Partial<Record<Optimization, Rewriting>>>;

export interface Optimized {
  session: Session;
  applied: readonly Optimization[];
  /** Why others were not. */
  reasons: Readonly<Partial<Record<Optimization, string>>>;
}

/**
 * Loads the graph rewritten in place of the untouched one, which is closed first, so that memory holds one of them. All
 * that is wanted is tried together, then each by itself: a rewriting that cannot be done, or that changes vectors, must
 * not keep out the other.
 * @param check why a session gives other vectors than the untouched graph; undefined if it does not
 */
export async function optimize(
  bare: Session,
  { path, open }: GraphFile,
  wanted: Optimizations,
  check: (session: Session, applied: readonly Optimization[]) => Promise<string | undefined>,
): Promise<Optimized> {
  const rewritings = Object.entries(wanted) as [Optimization, Rewriting][];
  const tries = rewritings.length > 1 ? [rewritings, ...rewritings.map((one) => [one])] : [rewritings];
  const reasons: Partial<Record<Optimization, string>> = {};
  let untouched: Session | undefined = bare;
  for (const tried of tries.filter(({ length }) => length > 0)) {
    const applied = tried.map(([name]) => name);
    let result: { session: Session } | { reason: string } | Rewritten = await rewrite(path, tried);
    if ('model' in result) {
      const { model } = result;
      await untouched?.close();
      untouched = undefined;
      result = await openChecked(
        () => open(model),
        (session) => check(session, applied),
      );
    }
    if ('session' in result) {
      for (const name of applied) delete reasons[name];
      return { session: result.session, applied, reasons };
    }
    for (const name of applied) reasons[name] = result.reason;
  }
  return { session: untouched ?? (await open()), applied: [], reasons };
}

async function rewrite(path: string, rewritings: readonly (readonly [Optimization, Rewriting])[]): Promise<Rewritten> {
  try {
    const file = await readFile(path);
    const rewritten = rewriteModel(
      file,
      rewritings.map(([, rewriting]) => rewriting),
    );
    discard(file.buffer);
    return rewritten;
  } catch (error) {
    return { reason: toClipflowError(error).message }; // more than the 2 GiB that Node reads at once
  }
}

/** A session that gives the vectors wanted, or why there is none. */
async function openChecked(
  open: () => Promise<Session>,
  check: (session: Session) => Promise<string | undefined>,
): Promise<{ session: Session } | { reason: string }> {
  let session: Session | undefined;
  try {
    session = await open();
    const reason = await check(session);
    if (reason === undefined) return { session };
    await session.close();
    return { reason };
  } catch (error) {
    await session?.close();
    return { reason: toClipflowError(error).message };
  }
}

/** Logs whether the last block was pruned. */
export function logPruned({ applied, reasons }: Optimized, { path, log }: GraphFile): void {
  if (applied.includes('prune_last_block')) log.info({ event: 'last_block_pruned', model: path });
  else log.info({ event: 'last_block_not_pruned', model: path, reason: reasons.prune_last_block });
}
