import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { ClipflowError, toClipflowError } from '../src/errors.js';
import { documentsOf } from './jobs/backlog-reader.js';
import type { LoadSources } from './load-json.js';

const GROUP_VERSION = 'external.metrics.k8s.io/v1beta1';
const ONGOING = 'clipflow_executor_ongoing_documents';
const BULK = 'clipflow_bulk_documents';
const ROOT = `/apis/${GROUP_VERSION}`;

export interface ExternalMetricsOptions {
  port: number;
  /** Folder with tls.crt and tls.key, as a Kubernetes secret is mounted. */
  certificates: string;
}

/**
 * Kubernetes' external metrics API (k8s.io/metrics/pkg/apis/external_metrics), by which a plain HorizontalPodAutoscaler
 * reads how many documents each executor has to do, and how many the bulk jobs. The API server calls it by way of an APIService; it tells no more
 * than `/metrics` does, so it asks for no credentials.
 * @throws INVALID_CONFIG when the certificate cannot be read
 */
export async function serveExternalMetrics(
  sources: LoadSources,
  { port, certificates }: ExternalMetricsOptions,
): Promise<{ port: number; close: () => void }> {
  const server = createServer({ cert: read(certificates, 'tls.crt'), key: read(certificates, 'tls.key') });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://localhost');
    const send = (code: number, body: object): void => {
      response.writeHead(code, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    answer(sources, pathname, searchParams.get('labelSelector') ?? '').then(
      (body) => (body ? send(200, body) : send(404, failure(404))),
      (thrown: unknown) => send(503, failure(503, toClipflowError(thrown).message)),
    );
  });
  server.listen(port);
  await once(server, 'listening');
  const address = server.address();
  return { port: typeof address === 'object' && address ? address.port : port, close: () => server.close() };
}

async function answer(sources: LoadSources, path: string, selector: string): Promise<object | undefined> {
  if (path === ROOT) {
    const names = sources.jobs ? [ONGOING, BULK] : [ONGOING];
    const common = { singularName: '', namespaced: true, kind: 'ExternalMetricValueList', verbs: ['get'] };
    const resources = names.map((name) => ({ name, ...common }));
    return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: GROUP_VERSION, resources };
  }
  const metric = new RegExp(`^${ROOT}/namespaces/[^/]+/([^/]+)$`).exec(path)?.[1];
  const values = await valuesOf(sources, metric, selector);
  if (!values) return undefined;
  const timestamp = new Date().toISOString();
  const items = values.map(({ labels, value }) => ({
    metricName: metric,
    metricLabels: labels,
    timestamp,
    value: String(value),
  }));
  return { kind: 'ExternalMetricValueList', apiVersion: GROUP_VERSION, metadata: {}, items };
}

async function valuesOf(
  { loads, jobs }: LoadSources,
  metric: string | undefined,
  selector: string,
): Promise<{ labels: Record<string, string>; value: number }[] | undefined> {
  if (metric === BULK && jobs) return [{ labels: {}, value: documentsOf(await jobs.backlog.read()) }];
  if (metric !== ONGOING) return undefined;
  const wanted = /^executor=(.+)$/.exec(selector)?.[1];
  return loads
    .totals()
    .filter(({ executor }) => wanted === undefined || executor === wanted)
    .map(({ executor, queued, running }) => ({ labels: { executor }, value: queued + running }));
}

function failure(code: number, message?: string): object {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message };
}

function read(folder: string, file: string): Buffer {
  try {
    return readFileSync(join(folder, file));
  } catch (cause) {
    throw new ClipflowError('INVALID_CONFIG', `the external metrics API needs ${join(folder, file)}`, { cause });
  }
}
