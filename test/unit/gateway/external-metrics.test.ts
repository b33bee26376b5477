import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import type { IncomingMessage } from 'node:http';
import { after, describe, test } from 'node:test';
import { serveExternalMetrics } from '../../../gateway/external-metrics.js';
import type { LoadSources } from '../../../gateway/load-json.js';
import { ClipflowError } from '../../../src/errors.js';
import { Certificate } from '../../support/certificate.js';

const ROOT = '/apis/external.metrics.k8s.io/v1beta1';
const certificates = mkdtempSync(join(tmpdir(), 'clipflow-metrics-api-'));
after(() => rmSync(certificates, { recursive: true }));
{
  using certificate = new Certificate();
  copyFileSync(certificate.cert, join(certificates, 'tls.crt'));
  copyFileSync(certificate.key, join(certificates, 'tls.key'));
}

const LOAD = { queueAge: 0, busy: 0, done: 0 };
const loads = {
  totals: () => [
    { executor: 'clip', queued: 3, running: 4, ...LOAD },
    { executor: 'rank', queued: 0, running: 1, ...LOAD },
  ],
};
const backlog = { jobs: 1, queuedTasks: 2, activeTasks: 1, queuedDocuments: 90, activeDocuments: 10, oldestSeconds: 5 };
const JOBS: LoadSources['jobs'] = { backlog: { read: async () => backlog } };

interface Answer {
  code: number;
  body: {
    message?: string;
    resources?: { name: string }[];
    items?: { metricName: string; metricLabels: object; value: string }[];
  };
}

async function ask(jobs: LoadSources['jobs'], path: string): Promise<Answer> {
  const server = await serveExternalMetrics({ loads, jobs }, { port: 0, certificates });
  try {
    const request = get(`https://127.0.0.1:${server.port}${ROOT}${path}`, { rejectUnauthorized: false, agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return { code: response.statusCode ?? 0, body: (await json(response)) as Answer['body'] };
  } finally {
    server.close();
  }
}

describe("Kubernetes' external metrics API", () => {
  test('names its metrics: that of bulk work where there are jobs', async () => {
    const names = async (jobs: LoadSources['jobs']) => (await ask(jobs, '')).body.resources?.map(({ name }) => name);
    assert.deepEqual(await names(undefined), ['clipflow_executor_ongoing_documents']);
    assert.deepEqual(await names(JOBS), ['clipflow_executor_ongoing_documents', 'clipflow_bulk_documents']);
  });

  test('tells the ongoing documents of each executor, or of the one that is asked for', async () => {
    const { body } = await ask(undefined, '/namespaces/default/clipflow_executor_ongoing_documents');
    assert.deepEqual(
      body.items?.map(({ metricLabels, value }) => [metricLabels, value]),
      [
        [{ executor: 'clip' }, '7'],
        [{ executor: 'rank' }, '1'],
      ],
    );
    const one = await ask(
      undefined,
      '/namespaces/default/clipflow_executor_ongoing_documents?labelSelector=executor%3Drank',
    );
    assert.equal(one.body.items?.length, 1);
  });

  test('tells the documents of bulk jobs that are left', async () => {
    const { code, body } = await ask(JOBS, '/namespaces/default/clipflow_bulk_documents');
    assert.equal(code, 200);
    assert.deepEqual(
      body.items?.map(({ metricName, metricLabels, value }) => [metricName, metricLabels, value]),
      [['clipflow_bulk_documents', {}, '100']],
    );
  });

  test('what is not there is 404; what cannot be told now is 503, with the reason', async () => {
    assert.equal((await ask(undefined, '/namespaces/default/clipflow_bulk_documents')).code, 404);
    assert.equal((await ask(JOBS, '/namespaces/default/other')).code, 404);
    const read = () => Promise.reject(new ClipflowError('UNAVAILABLE', 'Redis cannot be reached'));
    const { code, body } = await ask({ backlog: { read } }, '/namespaces/default/clipflow_bulk_documents');
    assert.deepEqual([code, body.message], [503, 'Redis cannot be reached']);
  });
});
