import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { toClipflowError } from '../../../../src/errors.js';
import { discard } from '../discard.js';
import type { Session } from '../session.js';
import { rewriteModel, type Rewriting } from './graph-parts.js';

export interface GraphFile {
  /** File of the graph. */
  path: string;
  /** Loads the graph, or `model` in its place. */
  open: (model?: Uint8Array<ArrayBuffer>) => Promise<Session>;
  log: Logger;
}

/** What a graph can be rewritten for. */
export type Optimization = 'trim_text' | 'prune_last_block';

export interface Optimized {
  session: Session;
  applied: readonly Optimization[];
  /** Why others were not. */
  reasons: ReadonlyMap<Optimization, string>;
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
  wanted: ReadonlyMap<Optimization, Rewriting>,
  check: (session: Session, applied: readonly Optimization[]) => Promise<string | undefined>,
): Promise<Optimized> {
  const each = [...wanted].map((one) => [one]);
  const reasons = new Map<Optimization, string>();
  let untouched: Session | undefined = bare;
  for (const tried of each.length > 1 ? [[...wanted], ...each] : each) {
    const applied = tried.map(([name]) => name);
    const rewritings = tried.map(([, rewriting]) => rewriting);
    const openInstead = async (model: Uint8Array<ArrayBuffer>): Promise<Session> => {
      await untouched?.close();
      untouched = undefined;
      return open(model);
    };
    const result = await openRewritten(path, rewritings, openInstead, (session) => check(session, applied));
    if ('session' in result) return { session: result.session, applied, reasons: without(reasons, applied) };
    for (const name of applied) reasons.set(name, result.reason);
  }
  return { session: untouched ?? (await open()), applied: [], reasons };
}

/** A session that gives the vectors wanted, or why there is none. */
async function openRewritten(
  path: string,
  rewritings: readonly Rewriting[],
  open: (model: Uint8Array<ArrayBuffer>) => Promise<Session>,
  check: (session: Session) => Promise<string | undefined>,
): Promise<{ session: Session } | { reason: string }> {
  let session: Session | undefined;
  try {
    const file = await readFile(path); // throws for more than the 2 GiB that Node reads at once
    const rewritten = rewriteModel(file, rewritings);
    discard(file.buffer);
    if ('reason' in rewritten) return rewritten;
    session = await open(rewritten.model);
    const reason = await check(session);
    if (reason === undefined) return { session };
    await session.close();
    return { reason };
  } catch (error) {
    await session?.close();
    return { reason: toClipflowError(error).message };
  }
}

function without<K, V>(map: ReadonlyMap<K, V>, keys: readonly K[]): Map<K, V> {
  return new Map([...map].filter(([key]) => !keys.includes(key)));
}

/** Logs whether the last block was pruned. */
export function logPruned({ applied, reasons }: Optimized, { path, log }: GraphFile): void {
  if (applied.includes('prune_last_block')) log.info({ event: 'last_block_pruned', model: path });
  else log.info({ event: 'last_block_not_pruned', model: path, reason: reasons.get('prune_last_block') });
}
