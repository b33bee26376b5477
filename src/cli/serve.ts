import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutorLoad } from '../autoscale/load.js';
import { LocalAutoscaler } from '../autoscale/local-autoscaler.js';
import { ClipflowError, toClipflowError } from '../errors.js';
import type { ExecutorConfig, Flow } from '../flow/flow.js';
import { planFlow, type Plan } from '../flow/plan.js';
import { WORKER_TOKEN } from '../jobs/worker-token.js';
import { runAsProcess, type Ready, type Running } from '../supervise/lifecycle.js';
import type { ProcessSpec } from '../supervise/managed-process.js';
import { serveControls, type Controls } from '../supervise/control.js';
import { watchPaths } from '../supervise/watch.js';
import { Supervisor, type Progress, type SupervisedFlow } from '../supervise/supervisor.js';
import { createLogger } from '../telemetry/log.js';
import { findGpus } from './gpus.js';
import { localGateway } from './worker.js';
import { flagsAgain, loadFlowWith, type Flags, type LoadedFlow } from './settings.js';

export type ServeFlags = Flags;

/** Told from executors by its space. */
const WORKERS = 'job workers';

/** Beyond the grace of its processes: what it takes to notice that they ended. */
const STOP_MARGIN_MS = 2000;

export async function serve(path: string, flags: ServeFlags): Promise<void> {
  const loaded = await loadFlowWith(path, flags);
  const { flow } = loaded;
  const log = createLogger(flow.logLevel, 'supervisor');
  for (const { path: place, key } of flow.ignored) log.info({ event: 'setting_ignored', place, key });
  const { CUDA_VISIBLE_DEVICES: cudaVisibleDevices } = process.env;
  const machine = { gpus: findGpus(), ...(cudaVisibleDevices === undefined ? {} : { cudaVisibleDevices }) };
  // Between the gateway and the workers of this flow, in their environments alone.
  if (flow.tokensFile !== undefined) process.env[WORKER_TOKEN] ??= randomBytes(32).toString('base64url');
  const folder = mkdtempSync(join(tmpdir(), 'clipflow-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const transport = flow.transport === 'embedded' ? `embedded:${join(folder, 'gateway.sock')}` : flow.transport;
  const specsOf = (wanted: Flow): SupervisedFlow =>
    processSpecs(path, { ...loaded, flow: wanted }, flags, planFlow(wanted, machine), transport);
  const { graceMs } = flow.gateway;
  const events = {
    progress: showProgress,
    loaded: (loads: readonly ExecutorLoad[]) => autoscaler.report(loads),
  };
  const supervisor = new Supervisor(specsOf(flow), events, log);
  let current = flow;
  // One change of an executor at a time: what is started for one must not be drained by the other.
  const turnOf = new Map(flow.executors.map(({ name }) => [name, turns()]));
  const inTurn = (name: string, task: () => Promise<void>): Promise<void> =>
    turnOf.get(executorOf(flow, name).name)?.(task) ?? Promise.resolve();
  const scale = (name: string, replicas: number): Promise<void> =>
    inTurn(name, async () => {
      current = withReplicas(current, name, replicas);
      log.info({ event: 'scaling', executor: name, replicas });
      await supervisor.scale(name, specsOf(current).executors.get(name) ?? [], graceMs);
    });
  const reload = async (name?: string): Promise<void> => {
    for (const executor of name === undefined ? flow.executors.map((one) => one.name) : [name]) {
      await inTurn(executor, () => {
        log.info({ event: 'reloading', executor });
        return supervisor.reload(executor, graceMs);
      });
    }
  };
  const reloadChanged = (name: string): void =>
    void reload(name).catch((error: unknown) => {
      log.error({ event: 'reload_failed', executor: name, reason: toClipflowError(error).message });
    });
  const autoscaler = new LocalAutoscaler(flow, scale, log);
  const stopControls = await serveControls(flow.name, { scale: refuseAutoscaled(flow, scale), reload });
  const stopWatching = flow.executors.map(({ name, watch }) => watchPaths(watch, () => reloadChanged(name)));

  const start = async (): Promise<Running> => ({
    ready: supervisor.start().then(async (ready) => {
      // They need the port that the gateway got.
      const workers = workerSpecs(path, loaded, flags, ready.ports);
      if (workers.length > 0) await supervisor.scale(WORKERS, workers, graceMs);
      process.stdout.write(`${welcome(flow, ready)}\n`);
      return ready;
    }),
    drain: () => {
      stopControls();
      for (const stop of stopWatching) stop();
      return supervisor.stop(graceMs);
    },
  });
  await runAsProcess(start, graceMs + STOP_MARGIN_MS, log);
}

/** Runs what it is given one after the other. */
function turns(): (task: () => Promise<void>) => Promise<void> {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const done = last.then(task);
    last = done.catch(() => {});
    return done;
  };
}

/** By hand it would not last: the autoscaler decides anew. */
function refuseAutoscaled(flow: Flow, scale: Controls['scale']): Controls['scale'] {
  return async (name, replicas) => {
    const { autoscale } = executorOf(flow, name);
    if (!autoscale) return scale(name, replicas);
    const bounds = `between ${autoscale.min} and ${autoscale.max}`;
    throw new ClipflowError(
      'INVALID_CONFIG',
      `executor "${name}" is scaled by its load, ${bounds}: change autoscale in the flow, or take it out`,
    );
  };
}

function executorOf(flow: Flow, wanted: string): ExecutorConfig {
  const found = flow.executors.find(({ name }) => name === wanted);
  if (found) return found;
  const known = flow.executors.map(({ name }) => name).join(', ');
  throw new ClipflowError('INVALID_CONFIG', `the flow has no executor "${wanted}"; it has: ${known}`);
}

function withReplicas(flow: Flow, wanted: string, replicas: number): Flow {
  executorOf(flow, wanted);
  const executors = flow.executors.map((one) => (one.name === wanted ? { ...one, replicas } : one));
  return { ...flow, executors };
}

function workerSpecs(
  path: string,
  { flow, stdin }: LoadedFlow,
  flags: Flags,
  ports: readonly number[] | undefined,
): ProcessSpec[] {
  const count = flow.redis === undefined ? 0 : flow.jobs.workers;
  return Array.from({ length: count }, (_, index) => ({
    key: `worker/${index}`,
    args: ['worker', path, ...flagsAgain(flags), '--gateway', localGateway(flow, ports)],
    env: {},
    timeoutReadyMs: Infinity,
    ...(stdin === undefined ? {} : { stdin }),
  }));
}

function processSpecs(
  path: string,
  { flow, stdin }: LoadedFlow,
  flags: Flags,
  plan: Plan,
  transport: string,
): SupervisedFlow {
  const common = [path, '--transport', transport, ...flagsAgain(flags)];
  const fromStdin = stdin === undefined ? {} : { stdin };
  const gateway: ProcessSpec = {
    key: plan.gateway.name,
    args: [
      'gateway',
      ...common,
      ...(flags.port === undefined ? [] : ['--port', flags.port]),
      ...monitoring(plan.gateway.monitoringPort),
    ],
    env: plan.gateway.env,
    timeoutReadyMs: Infinity,
    ...fromStdin,
  };
  const executors = new Map<string, ProcessSpec[]>();
  for (const { name, timeoutReadyMs = Infinity } of flow.executors) {
    const replicas = plan.replicas.filter(({ executor }) => executor === name);
    executors.set(
      name,
      replicas.map(({ name: key, shard, replica, replicasOnMachine, monitoringPort, env }) => ({
        key,
        args: [
          'executor',
          ...common,
          ...['--name', name, '--shard', String(shard), '--replica', String(replica)],
          ...['--replicas-on-machine', String(replicasOnMachine), ...monitoring(monitoringPort)],
        ],
        env,
        timeoutReadyMs,
        ...fromStdin,
      })),
    );
  }
  return { gateway, executors };
}

function monitoring(port: number | undefined): string[] {
  return port === undefined ? [] : ['--monitoring-port', String(port)];
}

function showProgress({ name, ready, wanted }: Progress): void {
  process.stdout.write(`${name}: ${ready} of ${wanted} ready\n`);
}

function welcome({ gateway: { host, listen } }: Flow, ready: Ready): string {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  const places = listen.map(
    ({ port, protocols }, i) => `${name}:${ready.ports?.[i] ?? port} (${protocols.join(', ')})`,
  );
  return `clipflow serves ${places.join(', ')}. Ctrl-C stops it.`;
}
