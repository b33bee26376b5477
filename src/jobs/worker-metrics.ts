import { Counter, Histogram } from 'prom-client';
import { processRegistry } from '../telemetry/registry.js';
import type { ChunkCounts } from './job-book.js';

/** Prometheus metrics of a worker. */
export class WorkerMetrics {
  readonly registry = processRegistry();
  readonly #documents = new Counter({
    name: 'clipflow_worker_documents_total',
    help: 'Documents of bulk jobs that the worker is done with.',
    labelNames: ['outcome'],
    registers: [this.registry],
  });
  readonly #tasks = new Histogram({
    name: 'clipflow_worker_task_duration_seconds',
    help: 'From the start of a task to its end.',
    labelNames: ['kind', 'outcome'],
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300],
    registers: [this.registry],
  });

  documentsDone({ completed, failed }: ChunkCounts): void {
    if (completed > 0) this.#documents.inc({ outcome: 'ok' }, completed);
    if (failed > 0) this.#documents.inc({ outcome: 'failed' }, failed);
  }

  taskDone(kind: string, outcome: 'ok' | 'failed', seconds: number): void {
    this.#tasks.observe({ kind, outcome }, seconds);
  }
}
