import { z } from 'zod';
import { ModelInfo } from '../model-info.js';
import type { Channel } from './channel.js';
import type { CallOptions, Directory, DirectoryChange, Message, Replica, ReplicaInfo } from './transport.js';

export const ReplicaInfoSchema = z.object({
  id: z.string().min(1),
  executor: z.string().min(1),
  shard: z.int().nonnegative(),
  pid: z.int(),
  host: z.string(),
  state: z.enum(['starting', 'ready', 'draining']),
  endpoints: z.array(z.string()),
  models: z.array(ModelInfo).default([]),
  batchSize: z.int().positive(),
  credit: z.int().positive(),
  outstanding: z.int().nonnegative(),
}) satisfies z.ZodType<ReplicaInfo>;

/** A replica as the gateway reaches it: what it last said, and the channel to it. */
export class RemoteReplica implements Replica {
  constructor(
    public info: ReplicaInfo,
    readonly channel: Channel,
  ) {}

  call(message: Message, options?: CallOptions): Promise<Message> {
    return this.channel.call(message, options);
  }
}

/** The replicas that a gateway knows, and who wants to hear of changes. */
export class Roster implements Directory {
  #replicas = new Map<string, RemoteReplica>();
  #listeners = new Set<(replica: Replica, change: DirectoryChange) => void>();

  get replicas(): ReadonlyMap<string, RemoteReplica> {
    return this.#replicas;
  }

  onChange(listener: (replica: Replica, change: DirectoryChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  add(replica: RemoteReplica): void {
    this.#replicas.set(replica.info.id, replica);
    this.#tell(replica, 'joined');
  }

  update(replica: RemoteReplica, info: ReplicaInfo): void {
    replica.info = info;
    this.#tell(replica, 'updated');
  }

  /** Does nothing when the replica is no longer (or another one is by now) listed under its id. */
  remove(replica: RemoteReplica, change: 'left' | 'lost'): void {
    if (this.#replicas.get(replica.info.id) !== replica) return;
    this.#replicas.delete(replica.info.id);
    this.#tell(replica, change);
  }

  #tell(replica: Replica, change: DirectoryChange): void {
    for (const listener of this.#listeners) listener(replica, change);
  }
}
