import { once } from 'node:events';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createServer, request, type IncomingMessage } from 'node:http';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { z } from 'zod';
import { ClipflowError, toClipflowError } from '../errors.js';

/** What can be asked of a flow that runs on this machine. */
export interface Controls {
  scale(executor: string, replicas: number): Promise<void>;
  /** @param executor all of them unless given */
  reload(executor?: string): Promise<void>;
}

const ControlRequest = z.discriminatedUnion('action', [
  z.object({ action: z.literal('scale'), executor: z.string(), replicas: z.int().min(0).max(1024) }),
  z.object({ action: z.literal('reload'), executor: z.string().optional() }),
]);
export type ControlRequest = z.infer<typeof ControlRequest>;

/** Sockets of the flows that this user serves, named `<flow>.<pid>.sock`; nobody else may connect. */
function controlFolder(): string {
  return join(tmpdir(), `clipflow-${userInfo().uid}-control`);
}

/** Lets `clipflow scale` and `clipflow reload` reach this process; returns a function that ends it. */
export async function serveControls(flow: string, controls: Controls): Promise<() => void> {
  const server = createServer((incoming, answer) => {
    const done = (status: number, body: object): void => void answer.writeHead(status).end(JSON.stringify(body));
    json(incoming)
      .then((body) => obey(ControlRequest.parse(body), controls))
      .then(
        () => done(200, {}),
        (error: unknown) => done(422, toClipflowError(error, 'INVALID_REQUEST').toJSON()),
      );
  });
  const folder = controlFolder();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `${flow}.${process.pid}.sock`);
  rmSync(path, { force: true });
  server.listen(path);
  await once(server, 'listening');
  server.unref();
  return () => server.close();
}

function obey(request: ControlRequest, controls: Controls): Promise<void> {
  switch (request.action) {
    case 'scale':
      return controls.scale(request.executor, request.replicas);
    case 'reload':
      return controls.reload(request.executor);
  }
}

/**
 * Asks something of a flow that runs on this machine; resolves when it is done.
 * @param flow its name; may be left out while only one runs
 * @throws INVALID_CONFIG when there is no such flow or executor, or it refuses
 */
export async function askFlow(flow: string | undefined, wanted: ControlRequest): Promise<void> {
  const running = runningFlows().filter(({ name }) => flow === undefined || name === flow);
  const [only] = running;
  if (!only)
    throw new ClipflowError(
      'INVALID_CONFIG',
      `no flow ${flow === undefined ? 'runs' : `"${flow}" runs`} here as this user`,
    );
  if (running.length > 1) {
    const names = running.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ');
    throw new ClipflowError(
      'INVALID_CONFIG',
      `several flows run here: ${names}; name one with --flow, or stop the others`,
    );
  }
  const call = request({ socketPath: only.path, method: 'POST' });
  call.end(JSON.stringify(wanted));
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  const body = (await json(answer)) as { message?: string };
  if (answer.statusCode !== 200) throw new ClipflowError('INVALID_CONFIG', body.message ?? 'the flow refused');
}

function runningFlows(): { name: string; pid: number; path: string }[] {
  const folder = controlFolder();
  return files(folder).flatMap((file) => {
    const match = /^(.+)\.(\d+)\.sock$/.exec(file);
    const [, name = '', pid = ''] = match ?? [];
    const path = join(folder, file);
    if (match && isAlive(Number(pid))) return [{ name, pid: Number(pid), path }];
    rmSync(path, { force: true }); // Left behind by a process that was killed.
    return [];
  });
}

function files(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
