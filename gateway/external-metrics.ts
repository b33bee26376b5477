import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { ClipflowError } from '../src/errors.js';
import type { LoadBoard } from './load-board.js';

const GROUP_VERSION = 'external.metrics.k8s.io/v1beta1';
const METRIC = 'clipflow_executor_ongoing_documents';
const ROOT = `/apis/${GROUP_VERSION}`;

export interface ExternalMetricsOptions {
  port: number;
  /** Folder with tls.crt and tls.key, as a Kubernetes secret is mounted. */
  certificates: string;
}

/**
 * Kubernetes' external metrics API (k8s.io/metrics/pkg/apis/external_metrics), by which a plain HorizontalPodAutoscaler
 * reads how many documents each executor has to do. The API server calls it by way of an APIService; it tells no more
 * than `/metrics` does, so it asks for no credentials.
 * @throws INVALID_CONFIG when the certificate cannot be read
 */
export async function serveExternalMetrics(
  loads: LoadBoard,
  { port, certificates }: ExternalMetricsOptions,
): Promise<{ port: number; close: () => void }> {
  const server = createServer({ cert: read(certificates, 'tls.crt'), key: read(certificates, 'tls.key') });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://localhost');
    const body = answer(loads, pathname, searchParams.get('labelSelector') ?? '');
    response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body ?? { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 404 }));
  });
  server.listen(port);
  await once(server, 'listening');
  const address = server.address();
  return { port: typeof address === 'object' && address ? address.port : port, close: () => server.close() };
}

function answer(loads: LoadBoard, path: string, selector: string): object | undefined {
  if (path === ROOT) {
    const kind = 'ExternalMetricValueList';
    const resource = { name: METRIC, singularName: '', namespaced: true, kind, verbs: ['get'] };
    return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: GROUP_VERSION, resources: [resource] };
  }
  if (!path.startsWith(`${ROOT}/namespaces/`) || !path.endsWith(`/${METRIC}`)) return undefined;
  const wanted = /^executor=(.+)$/.exec(selector)?.[1];
  const timestamp = new Date().toISOString();
  const items = loads
    .totals()
    .filter(({ executor }) => wanted === undefined || executor === wanted)
    .map(({ executor, queued, running }) => ({
      metricName: METRIC,
      metricLabels: { executor },
      timestamp,
      value: String(queued + running),
    }));
  return { kind: 'ExternalMetricValueList', apiVersion: GROUP_VERSION, metadata: {}, items };
}

function read(folder: string, file: string): Buffer {
  try {
    return readFileSync(join(folder, file));
  } catch (cause) {
    throw new ClipflowError('INVALID_CONFIG', `the external metrics API needs ${join(folder, file)}`, { cause });
  }
}
