import { Counter, Gauge, Histogram } from 'prom-client';
import type { ExecutorLoad } from '../src/autoscale/load.js';
import type { Backlog } from '../src/jobs/backlog.js';
import type { Logger } from '../src/telemetry/log.js';
import { processRegistry } from '../src/telemetry/registry.js';
import type { DispatchObserver } from './dispatch/dispatcher.js';
import { documentsOf } from './jobs/backlog-reader.js';

/** Prometheus metrics of a gateway; base units, and the name `clipflow_` before all. */
export class GatewayMetrics {
  readonly registry = processRegistry();
  readonly #requests = this.#counter('requests_total', 'Requests answered.', ['protocol', 'endpoint', 'code']);
  readonly #requestSeconds = this.#histogram(
    'request_duration_seconds',
    'From the arrival of a request to its answer.',
    ['protocol', 'endpoint'],
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  );
  readonly #documents = this.#counter('documents_total', 'Documents answered.', ['endpoint', 'outcome']);
  readonly #batchSize = this.#histogram(
    'batch_documents',
    'Documents sent to a replica at once.',
    ['executor'],
    [1, 2, 4, 8, 16, 32, 64, 128],
  );
  readonly #batchSeconds = this.#histogram(
    'batch_duration_seconds',
    'From sending a batch to a replica to its answer.',
    ['executor'],
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  );
  readonly #deaths = this.#counter('replica_deaths_total', 'Replicas that died with work in hand.', ['executor']);
  readonly #hedges = this.#counter('hedges_total', 'Batches that a second replica was asked for as well.', [
    'executor',
  ]);
  readonly #hedgesWon = this.#counter('hedges_won_total', 'Of these, those that the second replica answered first.', [
    'executor',
  ]);
  readonly #hangs = this.#counter('replica_hangs_total', 'Batches that a replica did not answer in time.', [
    'executor',
  ]);

  readonly #hits = this.#counter('cache_hits_total', 'Documents answered from the cache.', ['executor']);
  readonly #misses = this.#counter('cache_misses_total', 'Documents that were looked for in the cache in vain.', [
    'executor',
  ]);
  readonly #webhooks = this.#counter('autoscale_webhook_posts_total', 'Posts of the load to the webhook.', ['outcome']);

  requestDone(protocol: string, endpoint: string, code: string, seconds: number): void {
    this.#requests.inc({ protocol, endpoint, code });
    this.#requestSeconds.observe({ protocol, endpoint }, seconds);
  }

  documentsDone(endpoint: string, ok: number, failed: number): void {
    if (ok > 0) this.#documents.inc({ endpoint, outcome: 'ok' }, ok);
    if (failed > 0) this.#documents.inc({ endpoint, outcome: 'failed' }, failed);
  }

  cacheAsked(executor: string, hits: number, misses: number): void {
    if (hits > 0) this.#hits.inc({ executor }, hits);
    if (misses > 0) this.#misses.inc({ executor }, misses);
  }

  webhookPosted(ok: boolean): void {
    this.#webhooks.inc({ outcome: ok ? 'ok' : 'failed' });
  }

  observerOf(executor: string, log: Logger): DispatchObserver {
    return {
      batchSent: (documents) => this.#batchSize.observe({ executor }, documents),
      batchDone: (_documents, seconds) => this.#batchSeconds.observe({ executor }, seconds),
      replicaDied: () => this.#deaths.inc({ executor }),
      replicaHung: (replica, documents) => {
        this.#hangs.inc({ executor });
        log.warn({ event: 'replica_hung', executor, replica, documents });
      },
      batchHedged: (replica, documents) => {
        this.#hedges.inc({ executor });
        log.debug({ event: 'batch_hedged', executor, replica, documents });
      },
      hedgeWon: () => this.#hedgesWon.inc({ executor }),
    };
  }

  /** A value that is read when Prometheus asks. */
  gauge(name: string, help: string, read: () => number): void {
    const gauge: Gauge = new Gauge({
      name: `clipflow_${name}`,
      help,
      registers: [this.registry],
      collect: () => gauge.set(read()),
    });
  }

  /** What each executor has to do, read when Prometheus asks: the signals to scale by. */
  loadGauges(read: () => ExecutorLoad[]): void {
    const gauge = (name: string, help: string, value: (load: ExecutorLoad) => number): void => {
      const one: Gauge<'executor'> = new Gauge({
        name: `clipflow_executor_${name}`,
        help,
        labelNames: ['executor'],
        registers: [this.registry],
        collect: () => {
          for (const load of read()) one.set({ executor: load.executor }, value(load));
        },
      });
    };
    gauge('queued_documents', 'Documents that wait for a replica.', ({ queued }) => queued);
    gauge('running_documents', 'Documents that replicas hold for this gateway.', ({ running }) => running);
    gauge('ongoing_documents', 'Both together: what to scale by.', ({ queued, running }) => queued + running);
    gauge('busy_replicas', 'Replicas that hold documents for this gateway.', ({ busy }) => busy);
    gauge('queue_age_seconds', 'How long the oldest of those that wait has waited.', ({ queueAge }) => queueAge);
  }

  /** The same of every gateway, as it is read from Redis; absent while that is away. */
  backlogGauges(read: () => Promise<Backlog>): void {
    const gauge = (name: string, help: string, value: (backlog: Backlog) => number): void => {
      const one: Gauge = new Gauge({
        name: `clipflow_bulk_${name}`,
        help,
        registers: [this.registry],
        collect: async () => {
          const backlog = await read().catch(() => undefined);
          if (backlog) one.set(value(backlog));
          else one.remove();
        },
      });
    };
    gauge('jobs', 'Bulk jobs that are neither done nor paused.', ({ jobs }) => jobs);
    gauge('queued_tasks', 'Tasks of bulk jobs that wait for a worker.', ({ queuedTasks }) => queuedTasks);
    gauge('active_tasks', 'Tasks of bulk jobs that workers have.', ({ activeTasks }) => activeTasks);
    gauge('queued_documents', 'Documents of bulk jobs that wait.', ({ queuedDocuments }) => queuedDocuments);
    gauge('active_documents', 'Documents of bulk jobs that workers have.', ({ activeDocuments }) => activeDocuments);
    gauge('documents', 'Both together: what to scale by.', documentsOf);
    gauge('oldest_seconds', 'Since the oldest of the bulk jobs was made.', ({ oldestSeconds }) => oldestSeconds);
  }

  /** Replicas by executor and state, read when Prometheus asks. */
  replicaGauge(read: () => { executor: string; state: string; count: number }[]): void {
    const gauge: Gauge<'executor' | 'state'> = new Gauge({
      name: 'clipflow_replicas',
      help: 'Replicas that the gateway knows.',
      labelNames: ['executor', 'state'],
      registers: [this.registry],
      collect: () => {
        gauge.reset();
        for (const { count, ...labels } of read()) gauge.set(labels, count);
      },
    });
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name: `clipflow_${name}`, help, labelNames, registers: [this.registry] });
  }

  #histogram<L extends string>(name: string, help: string, labelNames: L[], buckets: number[]): Histogram<L> {
    return new Histogram({ name: `clipflow_${name}`, help, labelNames, buckets, registers: [this.registry] });
  }
}
