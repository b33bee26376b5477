import type { AutoscaleConfig } from '../autoscale/policy.js';
import type { UriPolicy } from '../document/uri.js';
import type { JsonObject } from '../json.js';
import type { FlowGraph } from './graph.js';
import type { WhenCondition } from './when.js';

/** A validated flow with every default filled in. It is plain data and survives JSON. */
export interface Flow {
  /** Keeps flows on one NATS apart: letters, digits, `_` and `-`. */
  readonly name: string;
  /** Absolute path of the file; relative `uses` start from its folder. */
  readonly file: string | undefined;
  readonly version: string;
  /** `embedded` or the url of a NATS server. */
  readonly transport: string;
  readonly logLevel: LogLevel;
  /** Folder that holds model folders; absent: one in the user's cache. */
  readonly models: string | undefined;
  /** File of hashed bearer tokens; absent: everyone may call. */
  readonly tokensFile: string | undefined;
  /** Url of a Redis server; absent: nothing that needs one is served. */
  readonly redis: string | undefined;
  /** Absent: embeddings are not kept. */
  readonly cache: CacheConfig | undefined;
  /** Of no effect without `redis`. */
  readonly jobs: JobsConfig;
  /** Absent: nobody is told of the load. */
  readonly webhook: WebhookConfig | undefined;
  /** Which uris may be fetched. */
  readonly uri: UriPolicy;
  readonly limits: Limits;
  readonly gateway: GatewayConfig;
  /** In the order of the file. */
  readonly executors: readonly ExecutorConfig[];
  readonly graph: FlowGraph;
  /** Keys of Jina that were accepted and mean nothing here. */
  readonly ignored: readonly IgnoredKey[];
}

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
export type Protocol = 'grpc' | 'http' | 'websocket';
export type Polling = 'ANY' | 'ALL';

export interface IgnoredKey {
  /** Of the mapping that holds the key, as messages write it: `executors[0]`. */
  readonly path: string;
  readonly key: string;
}

export interface Limits {
  readonly bodyBytes: number;
  readonly imagePixels: number;
  readonly imageBytes: number;
  readonly queueDocs: number;
  readonly queueBytes: number;
  readonly uriBytes: number;
  readonly uriTimeoutMs: number;
  /** How long a replica may be silent about a batch, however quick it usually is. */
  readonly hangMs: number;
  /** How long a batch of bulk work may take beside interactive requests, however quick these are. */
  readonly bulkBatchMs: number;
}

export interface CacheConfig {
  readonly store: 'memory' | 'redis';
  readonly ttlMs: number;
  /** Of the store in memory: embeddings, and bytes. */
  readonly max: number;
  readonly maxBytes: number;
}

export interface JobsConfig {
  readonly workers: number;
  /** Folder or s3:// url. */
  readonly files: string;
  /** Folders or s3:// urls by their names. */
  readonly sources: Readonly<Record<string, string>>;
  /** Documents that a worker has under way. */
  readonly concurrency: number;
  /** Documents of one task. */
  readonly chunk: number;
  readonly attempts: number;
  readonly retentionMs: number;
  readonly fileBytes: number;
  /** Jobs of one caller. */
  readonly maxUnfinished: number;
  /** Documents per second of one caller; absent: no limit. */
  readonly rate: number | undefined;
}

/** Where the load is told, and how often. */
export interface WebhookConfig {
  readonly url: string;
  readonly everyMs: number;
  /** Environment variable that holds the key of the signature; absent: it is not signed. */
  readonly secretEnv: string | undefined;
}

export interface GatewayConfig {
  readonly host: string;
  /** Each port with the protocols that it speaks; port 0 takes a free one. */
  readonly listen: readonly { readonly port: number; readonly protocols: readonly Protocol[] }[];
  readonly cors: boolean;
  /** Requests of one stream that are taken in before the first is answered; 0 sets no limit. */
  readonly prefetch: number;
  /** Paths of PEM files, relative to the working directory; there when TLS is on. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  readonly monitoring: boolean;
  readonly portMonitoring: number;
  readonly exposeEndpoints: JsonObject;
  readonly uvicornKwargs: JsonObject;
  readonly grpcServerOptions: JsonObject;
  readonly title: string | undefined;
  readonly description: string | undefined;
  readonly graceMs: number;
}

export interface ExecutorConfig {
  readonly name: string;
  /** Name of a built-in executor, path of a module or name of a package. */
  readonly uses: string;
  /** `uses.with` overlaid by `uses_with`. */
  readonly with: JsonObject;
  /** `uses.metas` overlaid by `uses_metas`, without its `py_modules`. */
  readonly metas: JsonObject;
  /** Python modules that a flow of Jina names, like `clip_server.executors.clip_onnx`. */
  readonly pyModules: readonly string[];
  /** Endpoint to method, laid over the executor's own. */
  readonly requests: Readonly<Record<string, string>>;
  readonly replicas: number;
  readonly shards: number;
  /** By endpoint; `*` is there always and stands for the others. */
  readonly polling: Readonly<Record<string, Polling>>;
  /** As the graph has it: never empty, `gateway` for what comes from the caller. */
  readonly needs: readonly string[];
  readonly when: WhenCondition | undefined;
  /** The flow's environment overlaid by the executor's; `RR` not resolved yet. */
  readonly env: Readonly<Record<string, string>>;
  /** Absent: waits for ever. */
  readonly timeoutReadyMs: number | undefined;
  /** Absent: no limit. */
  readonly timeoutSendMs: number | undefined;
  readonly retries: number;
  readonly workspace: string | undefined;
  readonly monitoring: boolean;
  /** Ports of the first replicas, the rest count on from the last; empty: the plan finds free ones. */
  readonly portMonitoring: readonly number[];
  readonly replicasPerGpu: number | undefined;
  readonly graceMs: number;
  /** Absent: what the executor asks for. */
  readonly batchSize: number | undefined;
  /** How many times the 99th percentile a batch may take before a second replica is asked too; absent: none is. */
  readonly hedge: number | undefined;
  /** Absent: as many replicas as the flow says, until `clipflow scale` says otherwise. */
  readonly autoscale: AutoscaleConfig | undefined;
  /** Files and folders whose change starts the replicas anew. */
  readonly watch: readonly string[];
}

/** How an endpoint of an executor with shards is served. */
export function pollingOf(executor: ExecutorConfig, endpoint: string): Polling {
  return executor.polling[endpoint] ?? executor.polling['*'] ?? 'ANY';
}
