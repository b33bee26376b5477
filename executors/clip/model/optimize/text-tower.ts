import type { TextTokenizer } from '../../text/tokenizer.js';
import { textInputs } from '../graph.js';
import type { Session } from '../session.js';
import { dynamicLength } from './dynamic-length.js';
import { trimmedLengths } from './lengths.js';
import type { Rewriting } from './graph-parts.js';
import { logPruned, optimize, type GraphFile, type Optimization } from './optimize.js';
import { pruneLastBlock } from './prune-last-block.js';
import { TextProbes } from './text-probes.js';

export interface TextTower {
  session: Session;
  /** Lengths that texts are padded to, rising; the last is the context length. */
  lengths: readonly number[];
  /** Whether its last block computes only the end of a text. */
  pruned: boolean;
}

export interface TextOptions extends GraphFile {
  tokenizer: TextTokenizer;
  /** Spare it the padding. */
  trim: boolean;
  /** Spare its last block what the vector is not taken from. */
  prune: boolean;
}

/**
 * Spares a text tower the padding, where its vectors don't depend on it (causal attention never looks behind the end,
 * and an attention mask hides what stands there), and its last block all positions but the end. Probe texts tell where
 * that changes vectors, whatever the graph is made of.
 *
 * Logs `text_trimmed` or `text_not_trimmed`, and `last_block_pruned` or `last_block_not_pruned`, with the reason.
 */
export async function optimizeText(bare: Session, options: TextOptions): Promise<TextTower> {
  const { tokenizer, trim, prune, log, path } = options;
  const { ids, length } = textInputs(bare.inputs);
  const whole = [tokenizer.contextLength];
  const trimmed = trim ? trimmedLengths(tokenizer.contextLength) : whole;
  const probes = await TextProbes.of(bare, tokenizer, trimmed);
  const isDynamic = length === undefined;
  const fault = trim ? await faultOfTrimming(bare, probes, isDynamic) : undefined;
  const trimmable = trim && fault === undefined;

  const wanted = new Map<Optimization, Rewriting>();
  if (trimmable && !isDynamic) wanted.set('trim_text', dynamicLength({ name: ids.name, length }));
  if (prune) wanted.set('prune_last_block', pruneLastBlock({ at: 'highest', ids: ids.name }));
  const isTrimmed = (applied: readonly Optimization[]) => trimmable && (isDynamic || applied.includes('trim_text'));
  const optimized = await optimize(bare, options, wanted, (session, applied) =>
    probes.faultOf(session, isTrimmed(applied)),
  );
  const { session, applied, reasons } = optimized;
  const lengths = isTrimmed(applied) ? trimmed : whole;
  if (isTrimmed(applied)) log.info({ event: 'text_trimmed', model: path, buckets: lengths });
  else if (trim) log.info({ event: 'text_not_trimmed', model: path, reason: fault ?? reasons.get('trim_text') });
  if (prune) logPruned(optimized, options);
  return { session, lengths, pruned: applied.includes('prune_last_block') };
}

async function faultOfTrimming(bare: Session, probes: TextProbes, isDynamic: boolean): Promise<string | undefined> {
  return (await probes.faultOfPadding(bare)) ?? (isDynamic ? probes.faultOf(bare, true) : undefined);
}
