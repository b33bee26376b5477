import { Counter, Histogram } from 'prom-client';
import { processRegistry } from '../src/telemetry/registry.js';
import type { CallObserver } from './runtime.js';

/** Prometheus metrics of a replica. */
export class ReplicaMetrics implements CallObserver {
  readonly registry = processRegistry();
  readonly #documents = new Counter({
    name: 'clipflow_executor_documents_total',
    help: 'Documents that the replica answered.',
    labelNames: ['endpoint', 'outcome'],
    registers: [this.registry],
  });
  readonly #seconds = new Histogram({
    name: 'clipflow_executor_call_duration_seconds',
    help: 'From the arrival of a batch to its answer.',
    labelNames: ['endpoint'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.registry],
  });

  constructor(executor: string, replica: string) {
    this.registry.setDefaultLabels({ executor, replica });
  }

  callDone(endpoint: string, documents: number, failed: number, seconds: number): void {
    if (documents > failed) this.#documents.inc({ endpoint, outcome: 'ok' }, documents - failed);
    if (failed > 0) this.#documents.inc({ endpoint, outcome: 'failed' }, failed);
    this.#seconds.observe({ endpoint }, seconds);
  }
}
