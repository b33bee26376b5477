import { performance } from 'node:perf_hooks';
import { Counter, Registry, collectDefaultMetrics } from 'prom-client';

/** Longer than any process lives, in a timer's milliseconds. */
const NEVER_MS = 2 ** 31 - 1;
const LAG_STATISTICS = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'];

/**
 * A registry with the metrics of the process: prom-client's, but for the statistics of the event loop's lag. They take a
 * timer of 10 ms, and a process that wakes a hundred times a second takes that time from the threads of ONNX Runtime.
 * How long the loop was busy is known without one.
 */
export function processRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: NEVER_MS });
  for (const statistic of LAG_STATISTICS) registry.removeSingleMetric(`nodejs_eventloop_lag_${statistic}_seconds`);
  new Counter({
    name: 'nodejs_eventloop_time_seconds_total',
    help: 'How long the event loop was in each state.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      const { active, idle } = performance.eventLoopUtilization();
      this.reset();
      this.inc({ state: 'active' }, active / 1000);
      this.inc({ state: 'idle' }, idle / 1000);
    },
  });
  return registry;
}
