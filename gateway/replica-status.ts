import type { Directory, Replica } from '../src/transport/transport.js';

export interface ReplicaStatus {
  id: string;
  pid: number;
  host: string;
  state: 'starting' | 'ready' | 'draining' | 'lost';
  /** Documents that this gateway has sent and that are not answered yet. */
  outstanding: number;
}

/** A replica that was lost is shown for this long */
const SHOW_LOST_MS = 60_000;

/** What `/status` and the metrics say of the replicas, those that were lost lately too. */
export class ReplicaStatuses {
  #lost = new Map<string, { replica: Replica; at: number }>();

  constructor(
    private readonly directory: Directory,
    private readonly outstanding: (replica: Replica) => number,
  ) {
    directory.onChange((replica, change) => {
      if (change === 'lost') this.#lost.set(replica.info.id, { replica, at: Date.now() });
      else this.#lost.delete(replica.info.id);
    });
  }

  of(executor: string): ReplicaStatus[] {
    const present = [...this.directory.replicas.values()].map((replica) => this.#status(replica, replica.info.state));
    for (const [id, { at }] of this.#lost) if (Date.now() - at > SHOW_LOST_MS) this.#lost.delete(id);
    const lost = [...this.#lost.values()].map(({ replica }) => this.#status(replica, 'lost'));
    return [...present, ...lost]
      .filter((status) => status.executor === executor)
      .map(({ executor: _, ...rest }) => rest);
  }

  #status(replica: Replica, state: ReplicaStatus['state']): ReplicaStatus & { executor: string } {
    const { id, pid, host, executor } = replica.info;
    return { id, pid, host, executor, state, outstanding: this.outstanding(replica) };
  }
}
