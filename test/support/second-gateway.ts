import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './flow-process.js';
import { within } from './until.js';

/** A second gateway beside that of a flow, as a process of its own. */
export class SecondGateway implements AsyncDisposable {
  private constructor(
    readonly url: string,
    private readonly end: () => Promise<void>,
  ) {}

  static async start(flow: string, transport: string): Promise<SecondGateway> {
    const folder = await mkdtemp(join(tmpdir(), 'clipflow-gateway-'));
    const file = join(folder, 'flow.yml');
    await writeFile(file, flow);
    const args = ['gateway', file, '--transport', transport, '--port', '0', '--log-level', 'error'];
    const child = fork(join(ROOT, 'dist/src/cli/main.js'), args);
    const ready = once(child, 'message', { signal: AbortSignal.timeout(20_000) });
    const [{ ports }] = (await within(ready, 'the gateway to be ready')) as [{ ports: number[] }];
    return new SecondGateway(`http://127.0.0.1:${ports[0]}`, async () => {
      const exited = once(child, 'exit');
      child.kill();
      await exited;
      await rm(folder, { recursive: true });
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}
