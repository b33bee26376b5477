import { startGateway } from '../../gateway/main.js';
import type { ExecutorLoad } from '../autoscale/load.js';
import { runAsProcess, tellSupervisor } from '../supervise/lifecycle.js';
import { createLogger } from '../telemetry/log.js';
import { loadFlowWith, type Flags } from './settings.js';

export interface GatewayFlags extends Flags {
  monitoringPort?: number;
  externalMetricsPort?: number;
  externalMetricsCerts?: string;
}

/** To the supervisor, which scales by them. */
function tellLoads(loads: ExecutorLoad[]): void {
  tellSupervisor({ type: 'load', loads });
}

export async function gateway(path: string, flags: GatewayFlags): Promise<void> {
  const { flow } = await loadFlowWith(path, flags);
  const log = createLogger(flow.logLevel, 'gateway');
  const monitoringPort = flags.monitoringPort ?? (flow.gateway.monitoring ? flow.gateway.portMonitoring : undefined);
  const { externalMetricsPort: port, externalMetricsCerts: certificates = '/etc/clipflow-metrics' } = flags;
  const externalMetrics = port === undefined ? undefined : { port, certificates };
  const onLoad = flow.executors.some(({ autoscale }) => autoscale) ? tellLoads : undefined;
  const start = () =>
    startGateway(
      flow,
      { transport: flow.transport, monitoringPort, tokensFile: flow.tokensFile, onLoad, externalMetrics },
      log,
    );
  await runAsProcess(start, flow.gateway.graceMs, log);
}
