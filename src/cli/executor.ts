import { startReplica } from '../../executors/main.js';
import type { ExecutorConfig, Flow } from '../flow/flow.js';
import { planFlow } from '../flow/plan.js';
import { runAsProcess, type Running } from '../supervise/lifecycle.js';
import { Supervisor } from '../supervise/supervisor.js';
import { createLogger } from '../telemetry/log.js';
import { findGpus } from './gpus.js';
import { flagsAgain, loadFlowWith, type Flags } from './settings.js';

export interface ExecutorFlags extends Flags {
  name: string;
  shard: number;
  replica: number;
  /** Processes to run side by side. */
  replicas: number;
  replicasOnMachine?: number;
  monitoringPort?: number;
}

/** Beyond the grace of its processes: what it takes to notice that they ended. */
const STOP_MARGIN_MS = 2000;

export async function executor(path: string, flags: ExecutorFlags): Promise<void> {
  const { flow, stdin } = await loadFlowWith(path, flags);
  const { name, shard, replica, replicas } = flags;
  const config = flow.executors.find((one) => one.name === name);
  const graceMs = config?.graceMs ?? flow.gateway.graceMs;
  const log = createLogger(flow.logLevel, `${name}/${shard}/${replica}`);
  if (config && replicas > 1) {
    const supervise = async (): Promise<Running> => superviseReplicas(path, flow, config, flags, stdin);
    return runAsProcess(supervise, graceMs + STOP_MARGIN_MS, log);
  }
  const monitoringPort = flags.monitoringPort ?? (config?.monitoring ? config.portMonitoring[0] : undefined);
  const { replicasOnMachine = 1 } = flags;
  const options = { name, shard, replica, replicasOnMachine, monitoringPort, transport: flow.transport };
  await runAsProcess(() => startReplica(flow, options, log), graceMs, log);
}

/** Several replicas in one container, which share its GPU and its processors; their metrics' ports follow each other. */
function superviseReplicas(
  path: string,
  flow: Flow,
  config: ExecutorConfig,
  flags: ExecutorFlags,
  stdin: string | undefined,
): Running {
  const { name, shard, replicas, replicasOnMachine = replicas, monitoringPort } = flags;
  const { graceMs, timeoutReadyMs = Infinity } = config;
  // Over the GPUs of this container in turn.
  const env = { CUDA_VISIBLE_DEVICES: 'RR', ...config.env };
  const here = { ...flow, executors: [{ ...config, replicas, shards: 1, env, monitoring: false }] };
  const plan = planFlow(here, { gpus: findGpus() });
  const specs = plan.replicas.map((planned, index) => ({
    key: `${name}/${shard}/${index}`,
    args: [
      ...['executor', path, '--transport', flow.transport, ...flagsAgain(flags)],
      ...['--name', name, '--shard', String(shard), '--replica', String(index)],
      ...['--replicas-on-machine', String(replicasOnMachine)],
      ...(monitoringPort === undefined ? [] : ['--monitoring-port', String(monitoringPort + index)]),
    ],
    env: planned.env,
    timeoutReadyMs,
    ...(stdin === undefined ? {} : { stdin }),
  }));
  const events = { progress: () => {}, loaded: () => {} };
  const supervisor = new Supervisor({ executors: new Map([[name, specs]]) }, events, createLogger(flow.logLevel, name));
  return { ready: supervisor.start(), drain: () => supervisor.stop(graceMs) };
}
