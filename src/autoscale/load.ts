/** What an executor has to do, as a gateway sees it. */
export interface ExecutorLoad {
  executor: string;
  /** Documents that wait for a replica. */
  queued: number;
  /** Documents that replicas hold for this gateway. */
  running: number;
  /** Seconds that the document at the head of the queue has waited; 0 when none does. */
  queueAge: number;
  /** Replicas that hold documents for this gateway. */
  busy: number;
  /** Documents that replicas have answered since the gateway started. */
  done: number;
}
