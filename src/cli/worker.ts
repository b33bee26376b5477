import { readFileSync } from 'node:fs';
import { ClipflowError } from '../errors.js';
import type { Flow } from '../flow/flow.js';
import { WORKER_TOKEN } from '../jobs/worker-token.js';
import { startWorker } from '../jobs/worker.js';
import { runAsProcess } from '../supervise/lifecycle.js';
import { createLogger } from '../telemetry/log.js';
import { loadFlowWith, type Flags } from './settings.js';

export interface WorkerFlags extends Flags {
  gateway?: string;
  monitoringPort?: number;
}

export async function worker(path: string, flags: WorkerFlags): Promise<void> {
  const { flow } = await loadFlowWith(path, flags);
  const log = createLogger(flow.logLevel, 'worker');
  const { monitoringPort } = flags;
  const gateway = {
    url: gatewayUrl(flags.gateway ?? process.env.CLIPFLOW_GATEWAY ?? localGateway(flow)),
    ca: flow.gateway.tls && readFileSync(flow.gateway.tls.certFile, 'utf8'),
    token: process.env[WORKER_TOKEN],
  };
  await runAsProcess(() => startWorker(flow, { gateway, monitoringPort }, log), flow.gateway.graceMs, log);
}

/** The gateway of the same flow on this machine. */
export function localGateway(flow: Flow, ports?: readonly number[]): string {
  const { listen, tls } = flow.gateway;
  const index = listen.findIndex(({ protocols }) => protocols.includes('http'));
  const port = ports?.[index] ?? listen[index]?.port;
  if (port !== undefined) return `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  throw new ClipflowError('INVALID_CONFIG', 'workers ask the gateway over HTTP: add http to with.protocol');
}

function gatewayUrl(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new ClipflowError('INVALID_CONFIG', `--gateway "${text}": expected http://host:51000`);
}
