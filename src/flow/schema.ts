import { z } from 'zod';
import type { JsonObject } from '../json.js';
import { isReadable, isRoundRobin, unreadable } from './devices.js';
import { IGNORED_IN_EXECUTOR, IGNORED_IN_GATEWAY, IGNORED_IN_USES } from './jina-keys.js';
import { whenProblems } from './when.js';

const MIB = 2 ** 20;

/** What a flow gets where its file says nothing. The schema shows them; `fillFlow` applies them. */
export const DEFAULTS = {
  version: '1',
  port: 51000,
  protocol: ['grpc', 'http', 'websocket'],
  host: '0.0.0.0',
  prefetch: 1000,
  portMonitoring: 9090,
  uriAllow: ['public'],
  transport: 'embedded',
  grace: 30,
  logLevel: 'info',
  timeoutReady: 600_000,
  // The delays are Ray Serve's; the target is two batches, one that is computed and one that is prepared.
  autoscale: { min: 1, targetOngoing: 64, upDelay: 30, downDelay: 600 },
  webhook: { every: 60 },
  limits: {
    bodyBytes: 256 * MIB,
    imagePixels: 178_956_970, // Pillow's decompression bomb limit
    imageBytes: 64 * MIB,
    queueDocs: 10_000,
    queueBytes: 512 * MIB,
    uriBytes: 64 * MIB,
    uriTimeoutMs: 10_000,
    hangMs: 10_000,
    bulkBatchMs: 5,
  },
  cache: { ttl: 86_400, max: 100_000, maxBytes: 256 * MIB },
  jobs: {
    workers: 1,
    concurrency: 64,
    chunk: 256,
    attempts: 8,
    retention: 7 * 86_400,
    fileBytes: 1024 * MIB,
    maxUnfinished: 100,
  },
} as const;

/** An optional field with the help that editors show. */
function field<T extends z.ZodType>(schema: T, description: string, fallback?: unknown): z.ZodOptional<T> {
  return schema.optional().meta({ description, ...(fallback !== undefined && { default: fallback }) });
}

function ignored<K extends string>(keys: readonly K[]): Record<K, z.ZodOptional<z.ZodUnknown>> {
  const schema = z.unknown().optional().describe('Accepted from flows of Jina; has no effect.');
  return Object.fromEntries(keys.map((key) => [key, schema])) as Record<K, typeof schema>;
}

/** One of some words, in any case. */
function word<const T extends readonly string[]>(words: T) {
  const schema = z.string().transform((text) => words.find((one) => one.toLowerCase() === text.toLowerCase()) ?? text);
  return schema.pipe(z.enum(words)).meta({ enum: [...words, ...words.map(swapCase)] });
}

function swapCase(text: string): string {
  return text === text.toLowerCase() ? text.toUpperCase() : text.toLowerCase();
}

const port = z.int().min(0).max(65535);
const count = z.int().min(0);
const atLeastOne = z.int().min(1);
const orMinusOne = z.int().min(-1);
const name = z.string().regex(/^[A-Za-z0-9_-]+$/, { error: 'expected letters, digits, _ and - only' });

/** A mapping of the user's own; it must be JSON, because it travels between processes. */
const settings = z.record(z.string(), z.unknown()).transform((value, context): JsonObject => {
  for (const path of notJson(value))
    context.addIssue({ code: 'custom', path, message: 'expected a value that JSON can hold' });
  return value as JsonObject;
});

function notJson(value: unknown, path: PropertyKey[] = []): PropertyKey[][] {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return [];
  if (typeof value === 'number') return Number.isFinite(value) ? [] : [path];
  if (Array.isArray(value)) return value.flatMap((item, index) => notJson(item, [...path, index]));
  if (typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return [path];
  return Object.entries(value).flatMap(([key, item]) => notJson(item, [...path, key]));
}

const when = settings.check((context) => {
  for (const { path, message } of whenProblems(context.value)) {
    context.issues.push({ code: 'custom', input: context.value, path: [...path], message });
  }
});

// Numbers and booleans are text in an environment; the loader puts them as the file writes them.
const environment = z
  .record(
    z.string(),
    z.union([z.string(), z.number(), z.boolean(), z.null()], { error: 'expected text, a number or true or false' }),
  )
  .transform((env, context) => {
    const strings = Object.fromEntries(Object.entries(env).map(([key, value]) => [key, String(value ?? '')]));
    const visible = strings.CUDA_VISIBLE_DEVICES;
    if (isRoundRobin(visible) && !isReadable(visible)) {
      context.addIssue({ code: 'custom', path: ['CUDA_VISIBLE_DEVICES'], message: unreadable(visible) });
    }
    return strings;
  });

const protocol = word(['grpc', 'http', 'websocket']);
const polling = word(['ANY', 'ALL']);
const strings = z.union([z.string(), z.array(z.string())], { error: 'expected a name or a list of names' });
const requests = z.record(z.string(), z.string());

/** Settings that `with` may give for all executors at once and an executor for itself. */
const shared = {
  env: field(
    environment,
    'Environment variables of the replicas. CUDA_VISIBLE_DEVICES=RR, RR0:2 or RR1,3 spreads them over the GPUs.',
  ),
  timeout_ready: field(
    orMinusOne,
    'Milliseconds until a replica must be ready; -1 waits for ever.',
    DEFAULTS.timeoutReady,
  ),
  timeout_send: field(orMinusOne, 'Milliseconds that a call to a replica may take; -1, the default, sets no limit.'),
  retries: field(orMinusOne, 'Further replicas that a failed call is given to; -1 means max(3, replicas).', -1),
  workspace: field(z.string(), 'Folder for what executors keep, relative to the working directory.'),
  grace: field(z.number().min(0), 'Seconds to finish what is held after SIGTERM.', DEFAULTS.grace),
};

const uriShape = {
  allow: field(
    z.array(z.enum(['public', 'private', 'file'])),
    'http(s) to public addresses, http(s) to private addresses, local files; data: uris always are.',
    DEFAULTS.uriAllow,
  ),
};

const limitsShape = {
  body_bytes: field(atLeastOne, 'Bytes of one request.', DEFAULTS.limits.bodyBytes),
  image_pixels: field(atLeastOne, 'Pixels of one image, checked before it is decoded.', DEFAULTS.limits.imagePixels),
  image_bytes: field(atLeastOne, 'Bytes of one encoded image.', DEFAULTS.limits.imageBytes),
  queue_docs: field(atLeastOne, 'Documents that may wait at the gateway.', DEFAULTS.limits.queueDocs),
  queue_bytes: field(atLeastOne, 'Bytes that may wait at the gateway.', DEFAULTS.limits.queueBytes),
  uri_bytes: field(atLeastOne, 'Bytes fetched from one uri.', DEFAULTS.limits.uriBytes),
  uri_timeout: field(atLeastOne, 'Milliseconds that fetching one uri may take.', DEFAULTS.limits.uriTimeoutMs),
  hang: field(
    atLeastOne,
    'Milliseconds after which a batch that takes 20 times longer than usual is given to another replica.',
    DEFAULTS.limits.hangMs,
  ),
  bulk_batch: field(
    atLeastOne,
    'Milliseconds that a batch of bulk work may take while interactive requests come, where 1.5 times a batch of theirs is less.',
    DEFAULTS.limits.bulkBatchMs,
  ),
};

const cacheShape = {
  store: z
    .enum(['memory', 'redis'])
    .describe('memory: of each gateway its own; redis: shared by all gateways, on the server that `redis` names.'),
  ttl: field(atLeastOne, 'Seconds that an embedding is kept.', DEFAULTS.cache.ttl),
  max: field(atLeastOne, 'Embeddings kept in memory; Redis has a limit of its own, maxmemory.', DEFAULTS.cache.max),
  max_bytes: field(atLeastOne, 'Bytes kept in memory.', DEFAULTS.cache.maxBytes),
};

const jobsShape = {
  workers: field(count, 'Worker processes that `clipflow serve` runs.', DEFAULTS.jobs.workers),
  files: field(
    z.string().min(1),
    'Folder, relative to the working directory, or s3://bucket/prefix, for inputs and outputs, which gateways and workers share. Default: ~/.local/share/clipflow/jobs/<flow>.',
  ),
  sources: field(
    z.record(name, z.string().min(1)),
    'Folders, or s3://bucket/prefix, whose images a job may read, by the names that jobs know them by.',
  ),
  concurrency: field(atLeastOne, 'Documents that a worker has under way.', DEFAULTS.jobs.concurrency),
  chunk: field(atLeastOne, 'Documents of one task: what is done again when a worker dies.', DEFAULTS.jobs.chunk),
  attempts: field(atLeastOne, 'Times that a task is tried before its documents are given up.', DEFAULTS.jobs.attempts),
  retention: field(atLeastOne, 'Seconds that files and finished jobs are kept.', DEFAULTS.jobs.retention),
  file_bytes: field(atLeastOne, 'Bytes of one uploaded file.', DEFAULTS.jobs.fileBytes),
  max_unfinished: field(atLeastOne, 'Unfinished jobs that one caller may have.', DEFAULTS.jobs.maxUnfinished),
  rate: field(z.number().positive(), 'Documents per second that the jobs of one caller may take. Default: no limit.'),
};

const webhookShape = {
  url: z
    .string()
    .refine((url) => /^https?:\/\/[^/@]+(\/|$)/.test(url) && URL.canParse(url), {
      error: 'expected http(s)://host/path, without a password',
    })
    .describe('Where the load is posted to, as JSON.'),
  every: field(z.number().positive(), 'Seconds after which it is posted again.', DEFAULTS.webhook.every),
  secret_env: field(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'expected the name of an environment variable' }),
    'Environment variable with the key that X-Clipflow-Signature is made with.',
  ),
};

const gatewayShape = {
  name: field(name, 'Name of the flow, which keeps flows on one NATS apart. Default: the name of the file.'),
  port: field(
    z.union([port, z.array(port).min(1)], { error: 'expected a port from 0 to 65535 or a list of ports' }),
    'One port for all protocols, or a list with one port for each protocol; 0 takes a free one.',
    DEFAULTS.port,
  ),
  protocol: field(
    z.union([protocol, z.array(protocol).min(1)], { error: 'expected grpc, http or websocket, or a list of them' }),
    'Protocols that the gateway speaks.',
    DEFAULTS.protocol,
  ),
  host: field(z.string(), 'Address to listen on.', DEFAULTS.host),
  cors: field(z.boolean(), 'Let browsers call from pages of other origins.', false),
  prefetch: field(
    count,
    'Requests of one stream that are taken in before the first is answered; 0 sets no limit.',
    DEFAULTS.prefetch,
  ),
  ssl_certfile: field(
    z.string(),
    'Certificate chain (PEM), relative to the working directory; turns on TLS for all protocols.',
  ),
  ssl_keyfile: field(z.string(), 'Private key of the certificate (PEM).'),
  monitoring: field(
    z.boolean(),
    'Serve Prometheus metrics on a port of their own; executors take this over unless they say otherwise.',
    false,
  ),
  port_monitoring: field(port, 'Port of the metrics.', DEFAULTS.portMonitoring),
  expose_endpoints: field(settings, 'Endpoints with an HTTP route of their own.'),
  uvicorn_kwargs: field(settings, 'Settings of the HTTP server of Jina; ssl_keyfile_password is used.'),
  grpc_server_options: field(settings, 'gRPC channel arguments, by their names.'),
  title: field(z.string(), 'Title of the HTTP documentation.'),
  description: field(z.string(), 'Description in the HTTP documentation.'),
  uri: field(z.strictObject(uriShape), 'Which uris the server fetches.'),
  limits: field(z.strictObject(limitsShape), 'Limits on what callers may send and on what may wait.'),
  transport: field(
    z.string().regex(/^(embedded|(nats|tls):\/\/\S+)$/, { error: 'expected embedded or nats://host:4222' }),
    'How gateway and replicas meet: embedded (one machine) or the url of a NATS server.',
    DEFAULTS.transport,
  ),
  redis: field(
    z.string().regex(/^rediss?:\/\/\S+$/, { error: 'expected redis://host:6379' }),
    'Url of a Redis server, for what outlives a process.',
  ),
  cache: field(
    z.strictObject(cacheShape),
    'Keep embeddings, so that a content that comes again is not computed again.',
  ),
  jobs: field(
    z.strictObject(jobsShape),
    'Bulk jobs, which are served where `redis` is set; `workers: 0` leaves the workers to others.',
  ),
  autoscale_webhook: field(
    z.strictObject(webhookShape),
    'Tells a URL the load of each executor and the replicas that `autoscale` wants, when their number changes and every minute.',
  ),
  tokens_file: field(
    z.string(),
    'File of hashed bearer tokens, relative to the working directory; without one everyone may call.',
  ),
  models: field(
    z.string(),
    'Folder that holds model folders, relative to the working directory. Default: ~/.cache/clipflow/models.',
  ),
  log_level: field(
    word(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    'Least level to log.',
    DEFAULTS.logLevel,
  ),
  ...shared,
};

const usesShape = {
  jtype: z.string().min(1).describe('Built-in executor (CLIPEncoder), path of a module (./x.ts) or name of a package.'),
  with: field(settings, 'Settings of the executor.'),
  metas: field(settings, 'About the executor; py_modules of clip_server mean the built-in CLIPEncoder.'),
  requests: field(requests, 'Endpoint to method.'),
  py_modules: field(strings, 'As metas.py_modules.'),
};

const uses = z.union([z.string().min(1), z.strictObject({ ...usesShape, ...ignored(IGNORED_IN_USES) })], {
  error: 'expected the name of an executor or {jtype, with, metas}; one that only joins branches is BaseExecutor',
});

const autoscaleShape = {
  min: field(count, 'Replicas at least; at 0, a request that comes waits for the first.', DEFAULTS.autoscale.min),
  max: atLeastOne.describe('Replicas at most.'),
  target_ongoing: field(
    z.number().positive(),
    'Documents, waiting and being computed, that each replica should have.',
    DEFAULTS.autoscale.targetOngoing,
  ),
  up_delay: field(
    z.number().min(0),
    'Seconds for which more replicas must be wanted before they are started.',
    DEFAULTS.autoscale.upDelay,
  ),
  down_delay: field(
    z.number().min(0),
    'Seconds for which fewer replicas must be enough before some are drained.',
    DEFAULTS.autoscale.downDelay,
  ),
};

const autoscale = z.strictObject(autoscaleShape).check((context) => {
  const { min = DEFAULTS.autoscale.min, max } = context.value;
  if (min <= max) return;
  const message = `expected at most max, which is ${max}, found ${min}`;
  context.issues.push({ code: 'custom', input: context.value, path: ['min'], message });
});

const executorShape = {
  name: field(name, 'Name of the executor. Default: executor0, executor1, ... by its place.'),
  uses: uses.describe(
    'Built-in executor (CLIPEncoder), path of a module (./x.ts), name of a package, or {jtype, with, metas}.',
  ),
  uses_with: field(settings, 'Settings of the executor, laid over uses.with.'),
  uses_metas: field(settings, 'Laid over uses.metas.'),
  uses_requests: field(requests, 'Endpoint to method, laid over those of the executor.'),
  replicas: field(count, 'Processes that do the same work side by side.', 1),
  shards: field(atLeastOne, 'Parts that the data is split into, each with its own replicas.', 1),
  polling: field(
    z.union([polling, z.record(z.string(), polling)], {
      error: 'expected ANY or ALL, or a mapping of endpoints to them',
    }),
    'Whether a request goes to any one shard or to all; for each endpoint if a mapping, `*` for the others.',
    'ANY',
  ),
  needs: field(strings, 'Executors to wait for; `gateway` starts a branch. Default: the executor before this one.'),
  when: field(when, 'Only documents that meet this condition (query language of DocArray) are sent to the executor.'),
  monitoring: field(
    z.boolean(),
    'Serve Prometheus metrics of each replica on a port of its own. Default: as the gateway.',
  ),
  port_monitoring: field(
    z.union([port, z.array(port).min(1)], { error: 'expected a port from 0 to 65535 or a list of ports' }),
    'Port of the metrics of the first replica, the others count on from it; or a list. Default: the next free one from that of the gateway on.',
  ),
  replicas_per_gpu: field(atLeastOne, 'Replicas that may share one GPU; each gets its part of the memory.'),
  autoscale: field(autoscale, 'Changes the number of replicas with the load; `replicas` is what it starts with.'),
  watch: field(
    strings,
    'Files or folders, relative to the working directory; when one changes, the replicas are started anew one after the other.',
  ),
  hedge: field(
    z.number().min(1),
    'A batch that takes longer than so many times the 99th percentile of its kind is sent to a second, free replica too, and the first answer counts. For executors that may compute a document twice. Default: none is.',
  ),
  batch_size: field(atLeastOne, 'Documents sent to a replica at once. Default: what the executor asks for.'),
  ...shared,
};

const gateway = z.strictObject({ ...gatewayShape, ...ignored(IGNORED_IN_GATEWAY) });
const executor = z.strictObject({ ...executorShape, ...ignored(IGNORED_IN_EXECUTOR) }).check((context) => {
  const { replicas, autoscale } = context.value;
  if (!autoscale || replicas === undefined) return;
  const { min = DEFAULTS.autoscale.min, max } = autoscale;
  if (replicas >= min && replicas <= max) return;
  const message = `expected ${min} to ${max}, the bounds of autoscale, found ${replicas}`;
  context.issues.push({ code: 'custom', input: context.value, path: ['replicas'], message });
});

const fileShape = {
  jtype: field(z.literal('Flow'), 'Always Flow.', 'Flow'),
  version: field(
    z.union([z.string(), z.number()], { error: 'expected a version' }),
    'Version of the syntax.',
    DEFAULTS.version,
  ),
  with: field(gateway, 'Settings of the gateway and of the flow as a whole.'),
  gateway: field(gateway, 'The same settings as `with`, as Jina 3.15 allows; a setting stands in one of the two.'),
  executors: z.array(executor).min(1).describe('The executors in their order.'),
};

export const flowFile = z
  .strictObject(fileShape)
  .meta({ title: 'clipflow flow', description: 'A gateway and the executors behind it.' });

export type FlowFile = z.output<typeof flowFile>;
export type GatewayFile = z.output<typeof gateway>;
export type ExecutorFile = z.output<typeof executor>;

/** Keys that a mapping may have, by the key that it stands under (`''`: the file itself). */
export const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(fileShape),
  with: Object.keys(gatewayShape),
  gateway: Object.keys(gatewayShape),
  executors: Object.keys(executorShape),
  uses: Object.keys(usesShape),
  uri: Object.keys(uriShape),
  limits: Object.keys(limitsShape),
  autoscale: Object.keys(autoscaleShape),
  cache: Object.keys(cacheShape),
  autoscale_webhook: Object.keys(webhookShape),
};
