import type { ExecutorLoad } from '../../../src/autoscale/load.js';

/** A replica computes whatever waits, up to a batch, in a fixed time and some for each document. */
export interface ReplicaModel {
  batchSize: number;
  batchSeconds: number;
  documentSeconds: number;
  /** Until it is ready. */
  startSeconds: number;
}

/** Documents per second in full batches. */
export function capacityOf({ batchSize, batchSeconds, documentSeconds }: ReplicaModel): number {
  return batchSize / (batchSeconds + batchSize * documentSeconds);
}

/** What waits longer, in seconds, is late. */
const LATE_SECONDS = 1;

interface Replica {
  /** When it is ready, or ends its batch. */
  until: number;
  documents: number;
}

/** The queue of an executor and the replicas that take from it. Times are in seconds. */
export class Pool {
  documents = 0;
  late = 0;
  #replicas: Replica[];
  /** Those that are to go, with the batches that they still compute. */
  #leaving: Replica[] = [];
  #queue: { since: number; documents: number }[] = [];
  #done = 0;

  constructor(
    replicas: number,
    private readonly model: ReplicaModel,
  ) {
    this.#replicas = Array.from({ length: replicas }, () => ({ until: 0, documents: 0 }));
  }

  add(documents: number, now: number): void {
    this.documents += documents;
    this.#queue.push({ since: now, documents });
  }

  scale(replicas: number, now: number): void {
    while (this.#replicas.length < replicas) {
      this.#replicas.push({ until: now + this.model.startSeconds, documents: 0 });
    }
    this.#leaving.push(...this.#replicas.splice(replicas));
  }

  /** Everything that ends until `now`; a replica that ends a batch starts the next one at once. */
  proceed(now: number): void {
    for (const replica of this.#leaving) if (replica.until <= now) this.#finish(replica);
    this.#leaving = this.#leaving.filter(({ until }) => until > now);
    for (const replica of this.#replicas) {
      while (replica.until <= now) {
        this.#finish(replica);
        if (!this.#start(replica)) break;
      }
    }
  }

  /** As a gateway reports it. */
  load(): ExecutorLoad {
    const held = [...this.#replicas, ...this.#leaving].map(({ documents }) => documents);
    return {
      executor: 'simulated',
      queued: this.#queue.reduce((sum, { documents }) => sum + documents, 0),
      running: held.reduce((sum, documents) => sum + documents, 0),
      queueAge: 0,
      busy: held.filter((documents) => documents > 0).length,
      done: this.#done,
    };
  }

  #finish(replica: Replica): void {
    this.#done += replica.documents;
    replica.documents = 0;
  }

  #start(replica: Replica): boolean {
    const oldest = this.#queue[0];
    if (!oldest) return false;
    const start = Math.max(replica.until, oldest.since);
    while (replica.documents < this.model.batchSize) {
      const [next] = this.#queue;
      if (!next) break;
      const taken = Math.min(next.documents, this.model.batchSize - replica.documents);
      replica.documents += taken;
      next.documents -= taken;
      if (start - next.since > LATE_SECONDS) this.late += taken;
      if (next.documents === 0) this.#queue.shift();
    }
    replica.until = start + this.model.batchSeconds + this.model.documentSeconds * replica.documents;
    return true;
  }
}
