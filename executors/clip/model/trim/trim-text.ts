import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { toClipflowError } from '../../../../src/errors.js';
import type { TextTokenizer } from '../../text/tokenizer.js';
import { discard } from '../discard.js';
import { textInputs } from '../graph.js';
import type { Session } from '../session.js';
import { withDynamicLength, type Rewritten } from './dynamic-length.js';
import type { FixedLength } from './length-nodes.js';
import { trimmedLengths } from './lengths.js';
import { Probes } from './probes.js';

export interface TrimOptions {
  /** File of the graph. */
  path: string;
  tokenizer: TextTokenizer;
  /** Loads the graph, or `model` in its place. */
  open: (model?: Uint8Array<ArrayBuffer>) => Promise<Session>;
  log: Logger;
}

export interface TextTower {
  session: Session;
  /** Lengths that texts are padded to, rising; the last is the context length. */
  lengths: readonly number[];
}

/**
 * Spares a text tower the padding, where its vectors don't depend on it: causal attention never looks behind the end,
 * and an attention mask hides what stands there. Probe texts tell, whatever the graph is made of. One of fixed length is
 * rewritten and loaded in place of the untouched one, which is closed first, so that memory holds one of them.
 *
 * Logs `text_trimmed`, or `text_not_trimmed` with the reason.
 */
export async function trimText(bare: Session, { path, tokenizer, open, log }: TrimOptions): Promise<TextTower> {
  const lengths = trimmedLengths(tokenizer.contextLength);
  const trimmed = (session: Session): TextTower => {
    log.info({ event: 'text_trimmed', model: path, buckets: lengths });
    return { session, lengths };
  };
  const untrimmed = (session: Session, reason: string): TextTower => {
    log.info({ event: 'text_not_trimmed', model: path, reason });
    return { session, lengths: lengths.slice(-1) };
  };

  const probes = await Probes.of(bare, tokenizer, lengths);
  const { ids, length } = textInputs(bare.inputs);
  const fault = (await probes.faultOfPadding(bare)) ?? (length === undefined && (await probes.faultOfLengths(bare)));
  if (fault) return untrimmed(bare, fault);
  if (length === undefined) return trimmed(bare);
  const rewritten = await rewrite(path, { name: ids.name, length });
  if ('reason' in rewritten) return untrimmed(bare, rewritten.reason);
  await bare.close();
  const replaced = await openChecked(() => open(rewritten.model), probes);
  return 'reason' in replaced ? untrimmed(await open(), replaced.reason) : trimmed(replaced.session);
}

async function rewrite(path: string, input: FixedLength): Promise<Rewritten> {
  try {
    const file = await readFile(path);
    const rewritten = withDynamicLength(file, input);
    discard(file.buffer);
    return rewritten;
  } catch (error) {
    return { reason: toClipflowError(error).message }; // more than the 2 GiB that Node reads at once
  }
}

/** A session that gives the vectors wanted, or why there is none. */
async function openChecked(
  open: () => Promise<Session>,
  probes: Probes,
): Promise<{ session: Session } | { reason: string }> {
  let session: Session | undefined;
  try {
    session = await open();
    const reason = await probes.faultOfLengths(session);
    if (reason === undefined) return { session };
    await session.close();
    return { reason };
  } catch (error) {
    await session?.close();
    return { reason: toClipflowError(error).message };
  }
}
