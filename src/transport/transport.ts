import type { CancelSignal } from '../cancel.js';
import type { ClipflowError } from '../errors.js';
import type { JsonObject } from '../json.js';
import type { ModelInfo } from '../model-info.js';

/**
 * The seam between a gateway and its replicas. A transport moves messages: it knows nothing of documents, executors'
 * code or protocols. test/contract/transport.ts states what each implementation must do.
 */
export interface Transport {
  readonly kind: 'embedded' | 'nats';
  /** False while the way to the other side is broken and being mended. */
  readonly connected: boolean;
  /**
   * The gateway's side: follows the replicas that come and go.
   * @param onRefused hears of a replica that speaks no version of the envelope that this side speaks, each time that it
   * tells of itself
   */
  watch(onRefused?: (error: ClipflowError) => void): Promise<Directory>;
  /**
   * The gateways of a flow tell each other something small, which may be lost: `onHeard` gets what others told, and what
   * is returned tells. Where there is one gateway, nobody hears it.
   */
  meet(onHeard: (gateway: string, data: JsonObject) => void): (data: JsonObject) => void;
  /**
   * A replica's side: announces itself, takes calls, and answers each with what `handler` resolves to.
   * @param outstanding read whenever it tells of itself
   */
  register(info: StaticInfo, handler: Handler, outstanding: () => number): Promise<Registration>;
  /** Leaves; calls that are under way are rejected with TRANSPORT_FAILED. */
  close(): Promise<void>;
}

/** A JSON header and any number of byte strings, whose borders are kept. */
export interface Message {
  header: JsonObject;
  parts: readonly Uint8Array[];
}

export type Handler = (message: Message, signal: CancelSignal) => Promise<Message>;

/** What a replica says of itself. */
export interface ReplicaInfo {
  /** Unique for each start of a replica's process. */
  id: string;
  executor: string;
  shard: number;
  pid: number;
  host: string;
  state: 'starting' | 'ready' | 'draining';
  /** Endpoints that it serves; `/default` stands for every other one. */
  endpoints: string[];
  /** Models that it serves; none until it is ready. */
  models: ModelInfo[];
  /** Documents that it wants at once. */
  batchSize: number;
  /** Batches that it takes at a time: one that runs and those that it prepares meanwhile. */
  credit: number;
  /** Documents that it holds, from all gateways, when it told. */
  outstanding: number;
}

/** What a replica says of itself that does not change by itself. */
export type StaticInfo = Omit<ReplicaInfo, 'outstanding'>;

export interface CallOptions {
  /** Gives the call up on both sides; the promise rejects with CANCELLED. */
  signal?: CancelSignal;
  /** Milliseconds until the call is given up on both sides with DEADLINE_EXCEEDED. */
  timeoutMs?: number;
}

/** A gateway's view of one replica. */
export interface Replica {
  readonly info: Readonly<ReplicaInfo>;
  /** Rejects with REPLICA_LOST when the replica is gone before it answered, or with the error that its handler threw. */
  call(message: Message, options?: CallOptions): Promise<Message>;
}

/** `left` is a replica that said goodbye, `lost` one that did not. */
export type DirectoryChange = 'joined' | 'updated' | 'left' | 'lost';

export interface Directory {
  /** By id; those that left or were lost are not in it. */
  readonly replicas: ReadonlyMap<string, Replica>;
  /** Returns a function that ends the subscription. */
  onChange(listener: (replica: Replica, change: DirectoryChange) => void): () => void;
}

export interface Registration {
  /** Tells the gateways what changed. */
  update(change: Partial<Pick<ReplicaInfo, 'state' | 'endpoints' | 'models' | 'batchSize' | 'credit'>>): void;
  /** Says `draining`, answers what is in hand, then says goodbye. */
  drain(): Promise<void>;
}
