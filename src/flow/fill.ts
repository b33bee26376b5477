import { homedir } from 'node:os';
import { join } from 'node:path';
import type { AutoscaleConfig } from '../autoscale/policy.js';
import type { CacheConfig, ExecutorConfig, Flow, GatewayConfig, JobsConfig, Limits, WebhookConfig } from './flow.js';
import { buildGraph, resolveNeeds } from './graph.js';
import { DEFAULTS } from './schema.js';
import type { ExecutorFile, FlowFile, GatewayFile } from './schema.js';

/** What has no name gets the one that Jina gives it. */
export function executorName(name: string | undefined, index: number): string {
  return name ?? `executor${index}`;
}

export function asList<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

/** Puts the defaults of the one place that has them (schema.ts) into a file that passed every check. */
export function fillFlow(file: FlowFile, place: { name: string; file: string | undefined }): Omit<Flow, 'ignored'> {
  const settings: GatewayFile = { ...file.with, ...file.gateway };
  const needs = resolveNeeds(
    file.executors.map((executor, index) => ({
      name: executorName(executor.name, index),
      needs: asList(executor.needs),
    })),
  );
  const executors = file.executors.map((executor, index) =>
    fillExecutor(executor, index, needs[index]?.needs ?? [], settings),
  );
  return {
    name: settings.name ?? place.name,
    file: place.file,
    version: String(file.version ?? DEFAULTS.version),
    transport: settings.transport ?? DEFAULTS.transport,
    logLevel: settings.log_level ?? DEFAULTS.logLevel,
    models: settings.models,
    tokensFile: settings.tokens_file,
    redis: settings.redis,
    cache: settings.cache && fillCache(settings.cache),
    jobs: fillJobs(settings.jobs ?? {}, settings.name ?? place.name),
    webhook: settings.autoscale_webhook && fillWebhook(settings.autoscale_webhook),
    uri: { allow: settings.uri?.allow ?? DEFAULTS.uriAllow },
    limits: fillLimits(settings.limits ?? {}),
    gateway: fillGateway(settings),
    executors,
    graph: buildGraph(executors),
  };
}

function fillCache(cache: NonNullable<GatewayFile['cache']>): CacheConfig {
  return {
    store: cache.store,
    ttlMs: (cache.ttl ?? DEFAULTS.cache.ttl) * 1000,
    max: cache.max ?? DEFAULTS.cache.max,
    maxBytes: cache.max_bytes ?? DEFAULTS.cache.maxBytes,
  };
}

function fillJobs(jobs: NonNullable<GatewayFile['jobs']>, flow: string): JobsConfig {
  const data = process.env.XDG_DATA_HOME ?? join(homedir(), '.local', 'share');
  return {
    workers: jobs.workers ?? DEFAULTS.jobs.workers,
    files: jobs.files ?? join(data, 'clipflow', 'jobs', flow),
    sources: jobs.sources ?? {},
    concurrency: jobs.concurrency ?? DEFAULTS.jobs.concurrency,
    chunk: jobs.chunk ?? DEFAULTS.jobs.chunk,
    attempts: jobs.attempts ?? DEFAULTS.jobs.attempts,
    retentionMs: (jobs.retention ?? DEFAULTS.jobs.retention) * 1000,
    fileBytes: jobs.file_bytes ?? DEFAULTS.jobs.fileBytes,
    maxUnfinished: jobs.max_unfinished ?? DEFAULTS.jobs.maxUnfinished,
    rate: jobs.rate,
  };
}

function fillWebhook(webhook: NonNullable<GatewayFile['autoscale_webhook']>): WebhookConfig {
  const { url, every = DEFAULTS.webhook.every, secret_env: secretEnv } = webhook;
  return { url, everyMs: every * 1000, secretEnv };
}

function fillLimits(limits: NonNullable<GatewayFile['limits']>): Limits {
  return {
    bodyBytes: limits.body_bytes ?? DEFAULTS.limits.bodyBytes,
    imagePixels: limits.image_pixels ?? DEFAULTS.limits.imagePixels,
    imageBytes: limits.image_bytes ?? DEFAULTS.limits.imageBytes,
    queueDocs: limits.queue_docs ?? DEFAULTS.limits.queueDocs,
    queueBytes: limits.queue_bytes ?? DEFAULTS.limits.queueBytes,
    uriBytes: limits.uri_bytes ?? DEFAULTS.limits.uriBytes,
    uriTimeoutMs: limits.uri_timeout ?? DEFAULTS.limits.uriTimeoutMs,
    hangMs: limits.hang ?? DEFAULTS.limits.hangMs,
    bulkBatchMs: limits.bulk_batch ?? DEFAULTS.limits.bulkBatchMs,
  };
}

function fillGateway(settings: GatewayFile): GatewayConfig {
  const ports = settings.port === undefined ? [DEFAULTS.port] : asList(settings.port);
  const protocols = settings.protocol === undefined ? DEFAULTS.protocol : asList(settings.protocol);
  const { ssl_certfile: certFile, ssl_keyfile: keyFile } = settings;
  return {
    host: settings.host ?? DEFAULTS.host,
    // The checks saw to it that several ports are as many as the protocols.
    listen: ports.map((port, index) => ({
      port,
      protocols: ports.length === 1 ? [...new Set(protocols)] : protocols.slice(index, index + 1),
    })),
    cors: settings.cors ?? false,
    prefetch: settings.prefetch ?? DEFAULTS.prefetch,
    tls: certFile !== undefined && keyFile !== undefined ? { certFile, keyFile } : undefined,
    monitoring: settings.monitoring ?? false,
    portMonitoring: settings.port_monitoring ?? DEFAULTS.portMonitoring,
    exposeEndpoints: settings.expose_endpoints ?? {},
    uvicornKwargs: settings.uvicorn_kwargs ?? {},
    grpcServerOptions: settings.grpc_server_options ?? {},
    title: settings.title,
    description: settings.description,
    graceMs: (settings.grace ?? DEFAULTS.grace) * 1000,
  };
}

function fillExecutor(file: ExecutorFile, index: number, needs: readonly string[], flow: GatewayFile): ExecutorConfig {
  const uses = typeof file.uses === 'string' ? { jtype: file.uses } : file.uses;
  const { py_modules: pyModules = uses.py_modules, ...metas } = { ...uses.metas, ...file.uses_metas };
  const replicas = file.replicas ?? Math.max(1, file.autoscale?.min ?? 1);
  const retries = file.retries ?? flow.retries ?? -1;
  return {
    name: executorName(file.name, index),
    uses: uses.jtype,
    with: { ...uses.with, ...file.uses_with },
    metas,
    pyModules: asList(pyModules).filter((module) => typeof module === 'string'),
    requests: { ...uses.requests, ...file.uses_requests },
    replicas,
    shards: file.shards ?? 1,
    polling: { '*': 'ANY', ...(typeof file.polling === 'string' ? { '*': file.polling } : file.polling) },
    needs,
    when: file.when,
    env: { ...flow.env, ...file.env },
    timeoutReadyMs: unlessNegative(file.timeout_ready ?? flow.timeout_ready ?? DEFAULTS.timeoutReady),
    timeoutSendMs: unlessNegative(file.timeout_send ?? flow.timeout_send ?? -1),
    retries: retries < 0 ? Math.max(3, replicas) : retries,
    workspace: file.workspace ?? flow.workspace,
    monitoring: file.monitoring ?? flow.monitoring ?? false,
    portMonitoring: asList(file.port_monitoring),
    replicasPerGpu: file.replicas_per_gpu,
    graceMs: (file.grace ?? flow.grace ?? DEFAULTS.grace) * 1000,
    batchSize: file.batch_size,
    hedge: file.hedge,
    autoscale: file.autoscale && fillAutoscale(file.autoscale),
    watch: asList(file.watch),
  };
}

function fillAutoscale(autoscale: NonNullable<ExecutorFile['autoscale']>): AutoscaleConfig {
  return {
    min: autoscale.min ?? DEFAULTS.autoscale.min,
    max: autoscale.max,
    targetOngoing: autoscale.target_ongoing ?? DEFAULTS.autoscale.targetOngoing,
    upDelayMs: (autoscale.up_delay ?? DEFAULTS.autoscale.upDelay) * 1000,
    downDelayMs: (autoscale.down_delay ?? DEFAULTS.autoscale.downDelay) * 1000,
  };
}

function unlessNegative(milliseconds: number): number | undefined {
  return milliseconds < 0 ? undefined : milliseconds;
}
