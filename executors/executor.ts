import type { Logger } from 'pino';
import type { Document } from '../src/document/document.js';
import type { ClipflowError, ErrorData } from '../src/errors.js';
import type { Limits } from '../src/flow/flow.js';
import type { JsonObject } from '../src/json.js';
import type { ModelInfo } from '../src/model-info.js';
import type { UriPolicy } from '../src/document/uri.js';

/** What an executor is given when it is made: the flow's settings for it and its place among the replicas. */
export interface ExecutorContext {
  /** Name of the executor in the flow. */
  name: string;
  /** Settings: `with:` of the executor's own YAML, overlaid by `uses_with:` of the flow. Not validated yet. */
  with: JsonObject;
  /** Folder that survives restarts, one per executor and shard; only there when the flow names a `workspace`. */
  workspace?: string;
  /** Index of the replica among those of its shard, from 0. */
  replica: number;
  /** Replicas of this flow that share the machine: divide threads and memory by it. */
  replicasOnMachine: number;
  /** Index of the shard, from 0. */
  shard: number;
  shards: number;
  /** Which uris the flow lets the server fetch. */
  uriPolicy: UriPolicy;
  /** Folder that holds model folders; absent: one in the user's cache. */
  models?: string;
  /** Whether the gateway keeps embeddings: models must have a fingerprint then. */
  cached: boolean;
  /** Bounds on images and fetched uris. */
  limits: Limits;
  log: Logger;
  /** Ends this replica, which can do no more work; the supervisor starts another. */
  die: (error: ClipflowError) => void;
}

/** What one call brings beside its documents. */
export interface CallContext {
  endpoint: string;
  parameters: JsonObject;
  /** Aborts when the caller went away or the deadline passed. */
  signal: AbortSignal;
  /** Answers the document at `index` with an error; its neighbours are not affected. */
  fail(index: number, error: ErrorData): void;
  /** Tells how many tokens the text of the document at `index` came to: what callers are told as `usage`. */
  count(index: number, tokens: number): void;
}

/**
 * Answers a call: changes the documents in place and returns nothing, or returns as many documents in the same order.
 * A thrown error fails every document of the batch.
 */
export type RequestMethod = (docs: Document[], context: CallContext) => Promise<Document[] | void> | Document[] | void;

/**
 * Base class of executors. A subclass names its methods by endpoint; `/default` takes every endpoint not named:
 *
 *     export default class Upper extends Executor {
 *       static override requests = { '/upper': 'upper' };
 *       upper(docs: Document[]) {
 *         for (const doc of docs) doc.text = doc.text?.toUpperCase();
 *       }
 *     }
 */
export abstract class Executor {
  /** Endpoint to method name. */
  static requests: Record<string, string> = {};

  /** Documents that the gateway sends at once. @default 32 */
  batchSize = 32;

  /** Models that callers may name at the gateway, known once it is set up. */
  models: ModelInfo[] = [];

  constructor(protected readonly context: ExecutorContext) {}

  /** Loads what the executor needs; the replica is ready when it resolves. */
  async setup(): Promise<void> {}

  /** Releases what `setup` took; called once the last call has been answered. */
  async close(): Promise<void> {}
}

export type ExecutorClass = (new (context: ExecutorContext) => Executor) & { requests: Record<string, string> };
