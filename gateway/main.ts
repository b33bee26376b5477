import type { AddressInfo } from 'node:net';
import { ClipflowError } from '../src/errors.js';
import type { Flow, Protocol } from '../src/flow/flow.js';
import type { Running } from '../src/supervise/lifecycle.js';
import type { Logger } from '../src/telemetry/log.js';
import { serveMetrics } from '../src/telemetry/metrics-server.js';
import { openTransport } from '../src/transport/open.js';
import type { Directory } from '../src/transport/transport.js';
import { FlowDispatch } from './dispatch/flow-dispatch.js';
import { createHttpApp } from './http/app.js';
import { GatewayMetrics } from './metrics.js';
import { sharePort } from './port.js';
import { ReplicaStatuses } from './replica-status.js';

export interface GatewayOptions {
  /** Where to meet the replicas: see `openTransport`. */
  transport: string;
  /** Port for the metrics alone; they are at the main port too. */
  monitoringPort?: number | undefined;
}

/** Protocols of the flow format that this version serves. */
export const SERVED: readonly Protocol[] = ['http'];

/** Starts the gateway of a flow; it is ready once each executor has a ready replica. */
export async function startGateway(flow: Flow, options: GatewayOptions, log: Logger): Promise<Running> {
  const transport = await openTransport(options.transport, flow.name);
  const directory = await transport.watch();
  const metrics = new GatewayMetrics();
  const dispatch = new FlowDispatch(flow, directory, metrics);
  const statuses = new ReplicaStatuses(directory, (replica) => dispatch.outstanding(replica));
  logReplicas(directory, log);
  addGauges(metrics, dispatch, statuses, flow);

  let draining = false;
  const http = await createHttpApp({ flow, dispatch, statuses, metrics, log, draining: () => draining });
  // gRPC will take its connections from the same port.
  sharePort(http.server, []);
  const { host, listen } = flow.gateway;
  const port = listen.find(({ protocols }) => protocols.includes('http'))?.port;
  if (port === undefined) {
    throw new ClipflowError('INVALID_FLOW', 'with.protocol must include http: the other protocols are not served yet');
  }
  await listenOn(http, port, host);
  const bound = (http.server.address() as AddressInfo).port;
  log.info({ event: 'gateway_listening', host, port: bound, transport: transport.kind });
  const stopMetrics =
    options.monitoringPort === undefined
      ? () => {}
      : await serveMetrics(metrics.registry, options.monitoringPort, host);

  return {
    ready: whenReady(directory, dispatch).then(() => ({ port: bound })),
    drain: async () => {
      draining = true;
      await http.close();
      stopMetrics();
      await transport.close();
    },
  };
}

async function listenOn(http: Awaited<ReturnType<typeof createHttpApp>>, port: number, host: string): Promise<void> {
  try {
    await http.listen({ port, host });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE' && code !== 'EACCES' && code !== 'EADDRNOTAVAIL') throw cause;
    const why = {
      EADDRINUSE: 'is in use',
      EACCES: 'may not be opened',
      EADDRNOTAVAIL: 'is not an address of this machine',
    }[code];
    throw new ClipflowError('INVALID_CONFIG', `${host}:${port} ${why}: set another one (with.port, --port)`, { cause });
  }
}

async function whenReady(directory: Directory, dispatch: FlowDispatch): Promise<void> {
  if (dispatch.notReady().length === 0) return;
  await new Promise<void>((resolve) => {
    const end = directory.onChange(() => {
      if (dispatch.notReady().length > 0) return;
      end();
      resolve();
    });
  });
}

function logReplicas(directory: Directory, log: Logger): void {
  const states = new Map<string, string>();
  directory.onChange(({ info }, change) => {
    const state = change === 'left' || change === 'lost' ? change : info.state;
    if (states.get(info.id) === state) return;
    if (change === 'left' || change === 'lost') states.delete(info.id);
    else states.set(info.id, state);
    const { executor, id, pid, host } = info;
    log[change === 'lost' ? 'warn' : 'info']({
      event: 'replica_state',
      executor,
      replica: id,
      replica_pid: pid,
      host,
      state,
    });
  });
}

function addGauges(metrics: GatewayMetrics, dispatch: FlowDispatch, statuses: ReplicaStatuses, flow: Flow): void {
  metrics.gauge('queue_documents', 'Documents that wait or are being computed.', () => dispatch.budget.docs);
  metrics.gauge('queue_bytes', 'Bytes of the documents that wait or are being computed.', () => dispatch.budget.bytes);
  metrics.replicaGauge(() =>
    flow.executors.flatMap(({ name }) => {
      const counts = new Map<string, number>();
      for (const { state } of statuses.of(name)) counts.set(state, (counts.get(state) ?? 0) + 1);
      return [...counts].map(([state, count]) => ({ executor: name, state, count }));
    }),
  );
}
