import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { ClipflowError } from '../src/errors.js';
import type { ExecutorConfig, Flow } from '../src/flow/flow.js';
import type { JsonObject } from '../src/json.js';
import type { Running } from '../src/supervise/lifecycle.js';
import type { Logger } from '../src/telemetry/log.js';
import { serveMetrics } from '../src/telemetry/metrics-server.js';
import { openTransport } from '../src/transport/open.js';
import type { Executor, ExecutorContext } from './executor.js';
import { loadExecutorClass } from './load.js';
import { ReplicaMetrics } from './metrics.js';
import { servedBy } from './published.js';
import { ExecutorRuntime } from './runtime.js';

export interface ReplicaOptions {
  /** Name of the executor in the flow. */
  name: string;
  shard: number;
  replica: number;
  replicasOnMachine: number;
  /** Where to meet the gateways: see `openTransport`. */
  transport: string;
  monitoringPort?: number | undefined;
}

/** Batches that a replica takes at a time: one that is computed, and one that is prepared meanwhile. */
const CREDIT = 2;

/**
 * Starts one replica of an executor. It shows itself to the gateways as `starting` while its executor is being set up,
 * then as `ready`.
 */
export async function startReplica(flow: Flow, options: ReplicaOptions, log: Logger): Promise<Running> {
  const config = executorOf(flow, options.name);
  const id = `${config.name}-${options.shard}-${options.replica}-${randomBytes(4).toString('hex')}`;
  const metrics = new ReplicaMetrics(config.name, id);
  const { executor, requests } = await createExecutor(flow, config, options, log);
  const runtime = new ExecutorRuntime(executor, requests, metrics, log);
  let [ready, draining] = [false, false];
  const transport = await openTransport(options.transport, flow.name);
  const registration = await transport.register(
    {
      id,
      executor: config.name,
      shard: options.shard,
      pid: process.pid,
      host: hostname(),
      state: 'starting',
      endpoints: runtime.endpoints,
      models: [],
      batchSize: config.batchSize ?? executor.batchSize,
      credit: CREDIT,
    },
    (message, signal) => {
      if (!ready) throw new ClipflowError('UNAVAILABLE', `replica ${id} is still starting`);
      return runtime.handle(message, signal);
    },
    () => runtime.held,
  );
  const { monitoringPort } = options;
  const stopMetrics =
    monitoringPort === undefined
      ? () => {}
      : await serveMetrics(metrics.registry, {
          port: monitoringPort,
          host: flow.gateway.host,
          waitForPort: true,
          ready: () => ready && transport.connected && !draining,
        });

  const started = performance.now();
  await executor.setup();
  ready = true;
  registration.update({ state: 'ready', batchSize: config.batchSize ?? executor.batchSize, models: executor.models });
  const setupSeconds = Math.round(performance.now() - started) / 1000;
  log.info({ event: 'replica_ready', replica: id, transport: transport.kind, setup_s: setupSeconds });

  return {
    ready: Promise.resolve({}),
    drain: async () => {
      draining = true;
      await registration.drain();
      await executor.close();
      stopMetrics();
      await transport.close();
    },
  };
}

function executorOf(flow: Flow, wanted: string): ExecutorConfig {
  const config = flow.executors.find(({ name }) => name === wanted);
  if (config) return config;
  const known = flow.executors.map(({ name }) => name).join(', ');
  throw new ClipflowError('INVALID_CONFIG', `the flow has no executor "${wanted}"; it has: ${known}`);
}

async function createExecutor(
  flow: Flow,
  config: ExecutorConfig,
  options: ReplicaOptions,
  log: Logger,
): Promise<{ executor: Executor; requests: Record<string, string> }> {
  const { uses, with: settings, substitutes } = servedBy(config);
  if (substitutes !== undefined) {
    log.info({
      event: 'executor_substituted',
      executor: config.name,
      wanted: substitutes,
      served_by: `${uses} (ONNX)`,
    });
  }
  const type = await loadExecutorClass(uses, flow.file === undefined ? process.cwd() : dirname(flow.file));
  const executor = new type(contextOf(flow, config, settings, options, log));
  return { executor, requests: { ...type.requests, ...config.requests } };
}

function contextOf(
  flow: Flow,
  config: ExecutorConfig,
  settings: JsonObject,
  options: ReplicaOptions,
  log: Logger,
): ExecutorContext {
  const { shard, replica, replicasOnMachine } = options;
  const workspace = config.workspace === undefined ? undefined : join(config.workspace, config.name, String(shard));
  if (workspace !== undefined) mkdirSync(workspace, { recursive: true });
  return {
    name: config.name,
    with: settings,
    ...(workspace === undefined ? {} : { workspace }),
    shard,
    shards: config.shards,
    replica,
    replicasOnMachine,
    uriPolicy: flow.uri,
    ...(flow.models === undefined ? {} : { models: flow.models }),
    cached: flow.cache !== undefined,
    limits: flow.limits,
    log,
    die: (error) => {
      log.fatal({ event: 'replica_died', code: error.code, reason: error.message });
      // `process.exit` waits for every thread, and so for ever for one that is stuck in native code.
      process.kill(process.pid, 'SIGKILL');
      process.abort(); // As the first process of a container it cannot be killed from within.
    },
  };
}
