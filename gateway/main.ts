import type { ExecutorLoad } from '../src/autoscale/load.js';
import { LoadWebhook } from '../src/autoscale/webhook.js';
import { ClipflowError } from '../src/errors.js';
import type { Flow } from '../src/flow/flow.js';
import type { Running } from '../src/supervise/lifecycle.js';
import type { Logger } from '../src/telemetry/log.js';
import { serveMetrics } from '../src/telemetry/metrics-server.js';
import { openTransport } from '../src/transport/open.js';
import type { Directory } from '../src/transport/transport.js';
import { EmbeddingCache, openStore } from './cache/embedding-cache.js';
import { JobsApi } from './jobs/jobs-api.js';
import { Models } from './models.js';
import { Tokens } from './auth/tokens.js';
import { FlowDispatch } from './dispatch/flow-dispatch.js';
import { GatewayMetrics } from './metrics.js';
import { serveExternalMetrics, type ExternalMetricsOptions } from './external-metrics.js';
import { LoadBoard } from './load-board.js';
import { reportLoads } from './load-reports.js';
import { openPort } from './open-port.js';
import type { ProtocolContext } from './protocol-context.js';
import { ReplicaStatuses } from './replica-status.js';

export interface GatewayOptions {
  /** Where to meet the replicas: see `openTransport`. */
  transport: string;
  /** Port for the metrics alone; they are at the main port too. */
  monitoringPort?: number | undefined;
  /** Is told, several times a second, what each executor has to do. */
  onLoad?: ((loads: ExecutorLoad[]) => void) | undefined;
  /** Serve Kubernetes' external metrics API too. */
  externalMetrics?: ExternalMetricsOptions | undefined;
  /** File of bearer tokens; without one everyone may call. */
  tokensFile?: string | undefined;
}

const TELL_SERVING_MS = 1000;

/** Starts the gateway of a flow; it is ready once each executor has a ready replica. */
export async function startGateway(flow: Flow, options: GatewayOptions, log: Logger): Promise<Running> {
  const tokens = Tokens.load(options.tokensFile, log);
  const store = openStore(flow, log);
  const jobs = await JobsApi.open(flow, log);
  const transport = await openTransport(options.transport, flow.name);
  const directory = await transport.watch(logRefusals(log));
  const metrics = new GatewayMetrics();
  const models = new Models(flow, directory);
  const dispatch = new FlowDispatch(flow, directory, metrics, log, store && new EmbeddingCache(store, models, metrics));
  const statuses = new ReplicaStatuses(directory, (replica) => dispatch.outstanding(replica));
  logReplicas(directory, log);
  addGauges(metrics, dispatch, statuses, flow);
  if (jobs) metrics.backlogGauges(() => jobs.backlog.read());

  if (!tokens.required && !isLoopback(flow.gateway.host)) log.warn({ event: 'open_to_all', host: flow.gateway.host });

  const drain = new AbortController();
  const loads = new LoadBoard(transport, () => dispatch.loads());
  const context: ProtocolContext = {
    flow,
    dispatch,
    loads,
    models,
    jobs,
    statuses,
    metrics,
    tokens,
    log,
    drain: drain.signal,
  };
  const ports = await Promise.all(flow.gateway.listen.map((entry) => openPort(context, entry)));
  const tellServing = (): void => {
    const serving = !drain.signal.aborted && dispatch.notReady().length === 0;
    for (const port of ports) port.setServing(serving);
  };
  tellServing();
  directory.onChange(tellServing);
  // The directory does not tell of a circuit that opens or closes.
  const telling = setInterval(tellServing, TELL_SERVING_MS).unref();
  const externalMetrics = options.externalMetrics && (await serveExternalMetrics(context, options.externalMetrics));
  const webhook = openWebhook(context, log);
  const stopReports = options.onLoad ? reportLoads(dispatch, options.onLoad) : () => {};
  const stopMetrics =
    options.monitoringPort === undefined
      ? () => {}
      : await serveMetrics(metrics.registry, { port: options.monitoringPort, host: flow.gateway.host });

  return {
    ready: whenReady(directory, dispatch).then(() => ({ ports: ports.map(({ port }) => port) })),
    drain: async () => {
      drain.abort();
      clearInterval(telling);
      tellServing();
      await Promise.all(ports.map((port) => port.close()));
      externalMetrics?.close();
      webhook?.close();
      loads.close();
      stopReports();
      stopMetrics();
      tokens.close();
      store?.close();
      await jobs?.close();
      await transport.close();
    },
  };
}

/** @throws INVALID_CONFIG when the variable of its secret is not set */
function openWebhook({ flow, loads, statuses, metrics }: ProtocolContext, log: Logger): LoadWebhook | undefined {
  if (!flow.webhook) return undefined;
  const { secretEnv, ...settings } = flow.webhook;
  const secret = secretEnv === undefined ? undefined : process.env[secretEnv];
  if (secretEnv !== undefined && !secret) {
    const message = `autoscale_webhook.secret_env: the environment variable ${secretEnv} is not set, or empty`;
    throw new ClipflowError('INVALID_CONFIG', message);
  }
  const options = {
    ...settings,
    secret,
    loads: () => loads.totals(),
    replicas: (executor: string) => statuses.of(executor).filter(({ state }) => state === 'ready').length,
    onPosted: (ok: boolean) => metrics.webhookPosted(ok),
  };
  return new LoadWebhook(flow, options, log);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
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

/** Once for each reason: a replica that is refused goes on telling of itself. */
function logRefusals(log: Logger): (error: ClipflowError) => void {
  const told = new Set<string>();
  return ({ message }) => {
    if (told.has(message)) return;
    told.add(message);
    log.error({ event: 'replica_refused', reason: message });
  };
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
  metrics.loadGauges(() => dispatch.loads());
  metrics.replicaGauge(() =>
    flow.executors.flatMap(({ name }) => {
      const counts = new Map<string, number>();
      for (const { state } of statuses.of(name)) counts.set(state, (counts.get(state) ?? 0) + 1);
      return [...counts].map(([state, count]) => ({ executor: name, state, count }));
    }),
  );
}
