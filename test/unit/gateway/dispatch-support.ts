import { Dispatcher, type SubmitOptions, type Work } from '../../../gateway/dispatch/dispatcher.js';
import type { Outcome } from '../../../src/call.js';
import { FakeReplica } from './fake-replica.js';

/** Patience with batches that are usually quick. */
export const HANG_MS = 10_000;

export interface Setup {
  dispatcher: Dispatcher;
  /** Documents of each batch under which a replica died. */
  deaths: number[];
  /** Replicas that hung. */
  hangs: string[];
  hedges: { sent: number; won: number };
}

export interface Wish {
  retries?: number;
  hedge?: number;
  bulkBatchMs?: number;
  /** Default: at once, so that a test needs no turn of the event loop to see what was sent. */
  soon?: (run: () => void) => void;
}

export function dispatcherWith({ retries = 3, hedge, bulkBatchMs = 5, soon = (run) => run() }: Wish = {}): Setup {
  const deaths: number[] = [];
  const hangs: string[] = [];
  const hedges = { sent: 0, won: 0 };
  const observer = {
    batchSent: () => {},
    batchDone: () => {},
    replicaDied: (_replica: string, documents: number) => void deaths.push(documents),
    replicaHung: (replica: string) => void hangs.push(replica),
    batchHedged: () => void hedges.sent++,
    hedgeWon: () => void hedges.won++,
  };
  const options = { executor: 'clip', retries, hangMs: HANG_MS, hedge, bulkBatchMs, holdMs: 20_000 };
  return { dispatcher: new Dispatcher(options, observer, soon), deaths, hangs, hedges };
}

/** Each word a document. */
export function work(words: string, kind = 'text'): Work[] {
  return words.split(' ').map((word) => ({ doc: Buffer.from(word), kind }));
}

export const ENCODE: SubmitOptions = { endpoint: '/encode', parameters: {} };

/** The text of each document, or the code of its error. */
export function shown(outcomes: readonly Outcome[]): string[] {
  return outcomes.map((outcome) => ('doc' in outcome ? Buffer.from(outcome.doc).toString() : outcome.error.code));
}

/** A replica that is in the dispatcher's hands already. */
export function joined(dispatcher: Dispatcher, ...args: ConstructorParameters<typeof FakeReplica>): FakeReplica {
  const replica = new FakeReplica(...args);
  dispatcher.replicaChanged(replica);
  return replica;
}

export function kill(dispatcher: Dispatcher, replica: FakeReplica): void {
  dispatcher.replicaGone(replica);
  replica.failAll('REPLICA_LOST');
}
