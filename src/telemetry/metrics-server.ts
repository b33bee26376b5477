import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Registry } from 'prom-client';

const AGAIN_MS = 500;

export interface MetricsServerOptions {
  port: number;
  host: string;
  /** A port that is taken is waited for, as that of the process whose place this one takes. @default false */
  waitForPort?: boolean;
  /** What `/readyz` answers; without it there is none. */
  ready?: () => boolean;
}

/** Serves `/metrics`, and `/healthz` and `/readyz` for probes, on a port of its own; returns a function that stops it. */
export async function serveMetrics(
  registry: Registry,
  { port, host, waitForPort = false, ready }: MetricsServerOptions,
): Promise<() => void> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    if (path === '/metrics') {
      const type = registry.contentType;
      void registry.metrics().then((text) => response.writeHead(200, { 'content-type': type }).end(text));
    } else if (path === '/healthz') {
      response.writeHead(200).end('ok\n');
    } else if (path === '/readyz' && ready) {
      response.writeHead(ready() ? 200 : 503).end(ready() ? 'ready\n' : 'not ready\n');
    } else {
      response.writeHead(404).end();
    }
  });
  let again: NodeJS.Timeout | undefined;
  const listen = async (): Promise<void> => {
    try {
      server.listen(port, host);
      await once(server, 'listening');
    } catch (error) {
      if (!waitForPort || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      again = setTimeout(() => void listen(), AGAIN_MS).unref();
    }
  };
  await listen();
  return () => {
    clearTimeout(again);
    server.close();
  };
}
