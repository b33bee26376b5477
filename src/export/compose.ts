import { stringify } from 'yaml';
import type { Flow } from '../flow/flow.js';
import { JOBS_FOLDER, wantsJobs, type ExportedFile, type FlowSource } from './export.js';

const IMAGES = {
  nats: 'nats:2.10-alpine',
  redis: 'redis:7-alpine',
  prometheus: 'prom/prometheus:v3.7.3',
  grafana: 'grafana/grafana:12.2.1',
};
const TRANSPORT = 'nats://nats:4222';
const METRICS_PORT = 9090;
/** From the environment, or an .env file, of who runs `docker compose`. */
const S3 = {
  AWS_REGION: '${AWS_REGION:-us-east-1}',
  AWS_ACCESS_KEY_ID: '${AWS_ACCESS_KEY_ID:-}',
  AWS_SECRET_ACCESS_KEY: '${AWS_SECRET_ACCESS_KEY:-}',
  AWS_ENDPOINT_URL_S3: '${AWS_ENDPOINT_URL_S3:-}',
};

/** A flow on one machine with Docker Compose: gateway, executors, workers of bulk jobs, NATS, Redis, Prometheus and Grafana. */
export function compose(flow: Flow, source: FlowSource): ExportedFile[] {
  const { text, image } = source;
  const ports = flow.gateway.listen.map(({ port }) => port);
  const common = {
    image,
    environment: { CLIPFLOW_TRANSPORT: TRANSPORT, CLIPFLOW_REDIS: 'redis://redis:6379' },
    volumes: ['./flow.yml:/etc/clipflow/flow.yml:ro'],
    depends_on: ['nats', 'redis'],
    restart: 'unless-stopped',
  };
  const executors = flow.executors.map(({ name, replicas, graceMs }): [string, object] => [
    name,
    {
      ...common,
      command: ['executor', '/etc/clipflow/flow.yml', `--name=${name}`, `--monitoring-port=${METRICS_PORT}`],
      stop_grace_period: `${graceMs / 1000 + 5}s`,
      deploy: { replicas },
    },
  ]);
  const gateway = {
    ...common,
    command: ['gateway', '/etc/clipflow/flow.yml'],
    ports: ports.map((port) => `${port}:${port}`),
    stop_grace_period: `${flow.gateway.graceMs / 1000 + 5}s`,
  };
  const jobs = wantsJobs(source);
  const project = {
    name: flow.name,
    services: {
      gateway: jobs ? withJobs(flow, gateway) : gateway,
      ...(jobs ? { worker: withJobs(flow, worker(flow, common)) } : {}),
      ...Object.fromEntries(executors),
      nats: { image: IMAGES.nats, command: ['nats-server'], restart: 'unless-stopped' },
      redis: {
        image: IMAGES.redis,
        command: [
          'redis-server',
          '--protected-mode',
          'no',
          '--appendonly',
          'yes',
          '--save',
          '',
          '--maxmemory-policy',
          'noeviction',
        ],
        volumes: ['redis:/data'],
        restart: 'unless-stopped',
      },
      prometheus: {
        image: IMAGES.prometheus,
        volumes: ['./prometheus.yml:/etc/prometheus/prometheus.yml:ro'],
        ports: ['9091:9090'],
      },
      grafana: {
        image: IMAGES.grafana,
        volumes: ['./grafana.yml:/etc/grafana/provisioning/datasources/clipflow.yml:ro'],
        ports: ['3000:3000'],
      },
    },
    volumes: { redis: {}, ...(jobs && !onS3(flow) ? { jobs: {} } : {}) },
  };
  const prometheus = {
    global: { scrape_interval: '5s' },
    scrape_configs: [
      { job_name: 'gateway', static_configs: [{ targets: [`gateway:${ports[0] ?? 51000}`] }] },
      // By DNS, so that each replica is found.
      ...[...flow.executors.map(({ name }) => name), ...(jobs ? ['worker'] : [])].map((name) => ({
        job_name: name,
        dns_sd_configs: [{ names: [name], type: 'A', port: METRICS_PORT }],
      })),
    ],
  };
  const grafana = {
    apiVersion: 1,
    datasources: [{ name: 'Prometheus', type: 'prometheus', url: 'http://prometheus:9090', isDefault: true }],
  };
  return [
    { path: 'compose.yml', text: stringify(project, { aliasDuplicateObjects: false }) },
    { path: 'flow.yml', text },
    { path: 'prometheus.yml', text: stringify(prometheus) },
    { path: 'grafana.yml', text: stringify(grafana) },
  ];
}

interface Service {
  environment: Record<string, string>;
  volumes: string[];
}

function worker(flow: Flow, common: Service): Service {
  const port = flow.gateway.listen.find(({ protocols }) => protocols.includes('http'))?.port ?? 51000;
  const gateway = `${flow.gateway.tls ? 'https' : 'http'}://gateway:${port}`;
  const settings = {
    command: ['worker', '/etc/clipflow/flow.yml', `--monitoring-port=${METRICS_PORT}`],
    stop_grace_period: `${flow.gateway.graceMs / 1000 + 5}s`,
    deploy: { replicas: flow.jobs.workers },
  };
  return { ...common, ...settings, environment: { ...common.environment, CLIPFLOW_GATEWAY: gateway } };
}

/** What gateway and workers share: the files of jobs, and a token where the gateway asks for tokens. */
function withJobs<T extends Service>(flow: Flow, service: T): T {
  const token = { CLIPFLOW_WORKER_TOKEN: '${CLIPFLOW_WORKER_TOKEN:?any secret}' };
  const files = onS3(flow) ? S3 : { CLIPFLOW_JOBS_FILES: JOBS_FOLDER };
  return {
    ...service,
    environment: { ...service.environment, ...files, ...(flow.tokensFile === undefined ? {} : token) },
    volumes: onS3(flow) ? service.volumes : [...service.volumes, `jobs:${JOBS_FOLDER}`],
  };
}

function onS3({ jobs }: Flow): boolean {
  return jobs.files.startsWith('s3://');
}
