import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClipflowError } from '../errors.js';
import type { Flow } from '../flow/flow.js';
import { planFlow, type Plan } from '../flow/plan.js';
import { runAsProcess, type Ready, type Running } from '../supervise/lifecycle.js';
import type { ProcessSpec } from '../supervise/managed-process.js';
import { serveControls } from '../supervise/control.js';
import { Supervisor, type Progress, type SupervisedFlow } from '../supervise/supervisor.js';
import { createLogger } from '../telemetry/log.js';
import { findGpus } from './gpus.js';
import { loadFlowWith, type Flags, type LoadedFlow } from './settings.js';

export type ServeFlags = Flags;

/** Beyond the grace of its processes: what it takes to notice that they ended. */
const STOP_MARGIN_MS = 2000;

export async function serve(path: string, flags: ServeFlags): Promise<void> {
  const loaded = await loadFlowWith(path, flags);
  const { flow } = loaded;
  const log = createLogger(flow.logLevel, 'supervisor');
  for (const { path: place, key } of flow.ignored) log.info({ event: 'setting_ignored', place, key });
  const { CUDA_VISIBLE_DEVICES: cudaVisibleDevices } = process.env;
  const machine = { gpus: findGpus(), ...(cudaVisibleDevices === undefined ? {} : { cudaVisibleDevices }) };
  const folder = mkdtempSync(join(tmpdir(), 'clipflow-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const transport = flow.transport === 'embedded' ? `embedded:${join(folder, 'gateway.sock')}` : flow.transport;
  const specsOf = (wanted: Flow): SupervisedFlow =>
    processSpecs(path, { ...loaded, flow: wanted }, flags, planFlow(wanted, machine), transport);
  const supervisor = new Supervisor(specsOf(flow), showProgress, log);
  const { graceMs } = flow.gateway;

  let current = flow;
  const scale = async (name: string, replicas: number): Promise<void> => {
    current = withReplicas(current, name, replicas);
    log.info({ event: 'scaling', executor: name, replicas });
    await supervisor.scale(name, specsOf(current).executors.get(name) ?? [], graceMs);
  };
  const stopControls = await serveControls(flow.name, { scale });

  const start = async (): Promise<Running> => ({
    ready: supervisor.start().then((ready) => {
      process.stdout.write(`${welcome(flow, ready)}\n`);
      return ready;
    }),
    drain: () => {
      stopControls();
      return supervisor.stop(graceMs);
    },
  });
  await runAsProcess(start, graceMs + STOP_MARGIN_MS, log);
}

function withReplicas(flow: Flow, wanted: string, replicas: number): Flow {
  if (!flow.executors.some(({ name }) => name === wanted)) {
    const known = flow.executors.map(({ name }) => name).join(', ');
    throw new ClipflowError('INVALID_CONFIG', `the flow has no executor "${wanted}"; it has: ${known}`);
  }
  const executors = flow.executors.map((one) => (one.name === wanted ? { ...one, replicas } : one));
  return { ...flow, executors };
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

function flagsAgain({ logLevel, uriAllow, models, tokensFile, redis }: Flags): string[] {
  const flags = {
    '--log-level': logLevel,
    '--uri-allow': uriAllow,
    '--models': models,
    '--tokens-file': tokensFile,
    '--redis': redis,
  };
  return Object.entries(flags).flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]));
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
