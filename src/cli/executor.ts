import { startReplica } from '../../executors/main.js';
import { runAsProcess } from '../supervise/lifecycle.js';
import { createLogger } from '../telemetry/log.js';
import { loadFlowWith, type Flags } from './settings.js';

export interface ExecutorFlags extends Flags {
  name: string;
  shard: number;
  replica: number;
  replicasOnMachine: number;
  monitoringPort?: number;
}

export async function executor(path: string, flags: ExecutorFlags): Promise<void> {
  const { flow } = await loadFlowWith(path, flags);
  const { name, shard, replica, replicasOnMachine } = flags;
  const config = flow.executors.find((one) => one.name === name);
  const monitoringPort = flags.monitoringPort ?? (config?.monitoring ? config.portMonitoring[0] : undefined);
  const log = createLogger(flow.logLevel, `${name}/${shard}/${replica}`);
  const options = { name, shard, replica, replicasOnMachine, monitoringPort, transport: flow.transport };
  await runAsProcess(() => startReplica(flow, options, log), config?.graceMs ?? flow.gateway.graceMs, log);
}
