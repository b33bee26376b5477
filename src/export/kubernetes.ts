import { stringify } from 'yaml';
import { ClipflowError } from '../errors.js';
import type { ExecutorConfig, Flow } from '../flow/flow.js';
import { JOBS_FOLDER, wantsJobs, type ExportedFile, type FlowSource } from './export.js';
import { configMap, containerSecurity, labels, metadata, podSecurity, service, type Context } from './manifest.js';

/** What preStop takes, and a margin, beyond the flow's grace. */
const PRE_STOP_SECONDS = 5;
const MARGIN_SECONDS = 5;
const START_SECONDS = 600;
const NATS_IMAGE = 'nats:2.10-alpine';

/** What a part has beside what all have. */
interface Extras {
  env?: { name: string; value: string }[];
  /** Uses the files of jobs, where there are any. */
  jobs?: boolean;
}

/**
 * Plain manifests of a flow, and a kustomization that lists them: what the Helm chart makes of it with its default
 * values, as a test sees to. `kubectl apply -k DIR`.
 * @throws INVALID_FLOW where an executor cannot run as a Deployment
 */
export function kubernetes(flow: Flow, source: FlowSource): ExportedFile[] {
  const { text, image } = source;
  const context = { flow, release: flow.name, image, jobs: checkJobs(flow, source) };
  const objects: [file: string, ...objects: object[]][] = [
    ['flow.yml', configMap(context, 'flow', { 'flow.yml': text })],
    ['gateway.yml', gateway(context), service(context, 'gateway', [{ name: 'clipflow', port: 51000 }])],
    ['nats.yml', ...nats(context)],
    ...flow.executors.map((executor): [string, object] => [`${executor.name}.yml`, deploymentOf(context, executor)]),
  ];
  if (context.jobs) objects.push(['worker.yml', worker(context), jobsClaim(context)]);
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: objects.map(([file]) => file),
  };
  return [
    { path: 'kustomization.yml', text: stringify(kustomization) },
    ...objects.map(([path, ...some]) => ({
      path,
      text: some.map((object) => stringify(object, { aliasDuplicateObjects: false })).join('---\n'),
    })),
  ];
}

function gateway(context: Context): object {
  const probe = (path: string) => ({ httpGet: { path, port: 'clipflow', scheme: 'HTTP' } });
  const { graceMs } = context.flow.gateway;
  const container = {
    args: ['gateway', '/etc/clipflow/flow.yml', '--port', '51000'],
    ports: [{ name: 'clipflow', containerPort: 51000 }],
    startupProbe: { ...probe('/healthz'), periodSeconds: 1, failureThreshold: 120 },
    readinessProbe: { ...probe('/readyz'), periodSeconds: 2 },
    livenessProbe: { ...probe('/healthz'), periodSeconds: 10, timeoutSeconds: 5 },
    // Until the Service sends nothing more here.
    lifecycle: { preStop: { sleep: { seconds: PRE_STOP_SECONDS } } },
    resources: { requests: { cpu: '100m', memory: '256Mi' }, limits: { memory: '1Gi' } },
  };
  const graceSeconds = PRE_STOP_SECONDS + graceMs / 1000 + MARGIN_SECONDS;
  return deployment(context, 'gateway', 1, graceSeconds, container, { jobs: true });
}

function worker(context: Context): object {
  const { flow, release } = context;
  const probe = (path: string) => ({ httpGet: { path, port: 'metrics' } });
  const container = {
    args: ['worker', '/etc/clipflow/flow.yml', '--monitoring-port=9090'],
    ports: [{ name: 'metrics', containerPort: 9090 }],
    startupProbe: { ...probe('/healthz'), periodSeconds: 1, failureThreshold: 120 },
    readinessProbe: { ...probe('/readyz'), periodSeconds: 2 },
    livenessProbe: { ...probe('/healthz'), periodSeconds: 10, timeoutSeconds: 5 },
    resources: { requests: { cpu: '100m', memory: '256Mi' }, limits: { memory: '1Gi' } },
  };
  const env = [{ name: 'CLIPFLOW_GATEWAY', value: `http://${release}-gateway:51000` }];
  const graceSeconds = flow.gateway.graceMs / 1000 + MARGIN_SECONDS;
  return deployment(context, 'worker', flow.jobs.workers, graceSeconds, container, { env, jobs: true });
}

/** @throws INVALID_FLOW where jobs would have no Redis, or need secrets */
function checkJobs({ redis, jobs, tokensFile, gateway }: Flow, source: FlowSource): boolean {
  if (!wantsJobs(source)) return false;
  if (redis !== undefined && !jobs.files.startsWith('s3://') && tokensFile === undefined && !gateway.tls) return true;
  throw new ClipflowError(
    'INVALID_FLOW',
    'jobs: set `redis` in the flow too; for S3, tokens or TLS use the Helm chart, which knows of secrets',
  );
}

function jobsClaim(context: Context): object {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: metadata(context, 'jobs'),
    spec: { accessModes: ['ReadWriteMany'], resources: { requests: { storage: '20Gi' } } },
  };
}

function deploymentOf(
  context: Context,
  { name, replicas, shards, workspace, replicasPerGpu, graceMs }: ExecutorConfig,
) {
  if (workspace !== undefined || shards > 1 || replicasPerGpu !== undefined) {
    throw new ClipflowError(
      'INVALID_FLOW',
      `executor "${name}" has a workspace, shards or replicas_per_gpu: use the Helm chart, which knows of volumes and GPUs`,
    );
  }
  const probe = (path: string) => ({ httpGet: { path, port: 'metrics' } });
  return deployment(context, name, replicas, graceMs / 1000 + MARGIN_SECONDS, {
    args: ['executor', '/etc/clipflow/flow.yml', `--name=${name}`, '--monitoring-port=9090'],
    ports: [{ name: 'metrics', containerPort: 9090 }],
    startupProbe: { ...probe('/readyz'), periodSeconds: 1, failureThreshold: START_SECONDS },
    readinessProbe: { ...probe('/readyz'), periodSeconds: 2 },
    livenessProbe: { ...probe('/healthz'), periodSeconds: 10, timeoutSeconds: 5 },
    resources: { requests: { cpu: '100m', memory: '512Mi' }, limits: { memory: '4Gi' } },
  });
}

function deployment(
  context: Context,
  part: string,
  replicas: number,
  graceSeconds: number,
  container: object,
  { env = [], jobs = false }: Extras = {},
): object {
  const { release, image } = context;
  const files = jobs && context.jobs;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadata(context, part),
    spec: {
      replicas,
      selector: { matchLabels: labels(context, part) },
      strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: {
        metadata: { labels: labels(context, part) },
        spec: {
          ...podSecurity(),
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: labels(context, part) },
            },
          ],
          terminationGracePeriodSeconds: graceSeconds,
          containers: [
            {
              name: part === 'gateway' || part === 'worker' ? part : 'executor',
              image,
              imagePullPolicy: 'IfNotPresent',
              env: [
                { name: 'HOME', value: '/tmp' },
                { name: 'CLIPFLOW_TRANSPORT', value: `nats://${release}-nats:4222` },
                ...(files ? [{ name: 'CLIPFLOW_JOBS_FILES', value: JOBS_FOLDER }] : []),
                ...env,
              ],
              ...container,
              securityContext: containerSecurity(),
              volumeMounts: [
                { name: 'flow', mountPath: '/etc/clipflow', readOnly: true },
                { name: 'tmp', mountPath: '/tmp' },
                ...(files ? [{ name: 'jobs', mountPath: JOBS_FOLDER }] : []),
              ],
            },
          ],
          volumes: [
            { name: 'flow', configMap: { name: `${release}-flow` } },
            { name: 'tmp', emptyDir: {} },
            ...(files ? [{ name: 'jobs', persistentVolumeClaim: { claimName: `${release}-jobs` } }] : []),
          ],
        },
      },
    },
  };
}

function nats(context: Context): object[] {
  const name = `${context.release}-nats`;
  const probe = { httpGet: { path: '/healthz', port: 'monitor' } };
  const config = 'port: 4222\nhttp: 8222\nmax_payload: 8MB\n';
  const set = {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: metadata(context, 'nats'),
    spec: {
      replicas: 1,
      serviceName: `${name}-routes`,
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: labels(context, 'nats') },
      template: {
        metadata: { labels: labels(context, 'nats') },
        spec: {
          ...podSecurity(),
          terminationGracePeriodSeconds: 30,
          containers: [
            {
              name: 'nats',
              image: NATS_IMAGE,
              command: ['nats-server', '--config', '/etc/nats/nats.conf'],
              ports: [
                { name: 'nats', containerPort: 4222 },
                { name: 'monitor', containerPort: 8222 },
                { name: 'routes', containerPort: 6222 },
              ],
              startupProbe: { ...probe, periodSeconds: 1, failureThreshold: 60 },
              readinessProbe: { ...probe, periodSeconds: 5 },
              livenessProbe: { ...probe, periodSeconds: 10 },
              resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '512Mi' } },
              securityContext: containerSecurity(),
              volumeMounts: [
                { name: 'config', mountPath: '/etc/nats', readOnly: true },
                { name: 'tmp', mountPath: '/tmp' },
              ],
            },
          ],
          volumes: [
            { name: 'config', configMap: { name } },
            { name: 'tmp', emptyDir: {} },
          ],
        },
      },
    },
  };
  const routes = {
    ...service(context, 'nats', [{ name: 'routes', port: 6222 }]),
    metadata: metadata(context, 'nats', `${name}-routes`),
    spec: {
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: labels(context, 'nats'),
      ports: [{ name: 'routes', port: 6222, targetPort: 'routes' }],
    },
  };
  return [
    configMap(context, 'nats', { 'nats.conf': config }),
    set,
    service(context, 'nats', [{ name: 'nats', port: 4222 }]),
    routes,
  ];
}
