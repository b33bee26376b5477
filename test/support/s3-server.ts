import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ROOT } from './flow-process.js';
import { findPython, pythonWith } from './python.js';
import { within } from './until.js';

const START_LIMIT_MS = 60_000;

/** moto, which speaks S3 as AWS does, on a free port of its own; `await using` stops it. Its memory is all it has. */
export class S3Server implements AsyncDisposable {
  #process: ChildProcess | undefined;

  private constructor(
    private readonly python: string,
    private port: number,
  ) {}

  /** Undefined where moto can't be installed: no Python, or no way to PyPI. */
  static async install(): Promise<S3Server | undefined> {
    const python = findPython();
    if (python === undefined) return undefined;
    const requirements = join(ROOT, 'test/support/requirements-s3.txt');
    const made = await pythonWith(python, 's3-venv', requirements).catch(() => undefined);
    return made === undefined ? undefined : new S3Server(made, 0);
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What the AWS SDK finds its way with. */
  get env(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL_S3: this.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
    };
  }

  /** Without any bucket, on the same port as before. */
  async start(): Promise<this> {
    const args = ['-m', 'moto.server', '--host', '127.0.0.1', '--port', String(this.port)];
    const child = spawn(this.python, args, {
      env: { ...process.env, PYTHONUNBUFFERED: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process = child;
    const started = new Promise<number>((resolve, reject) => {
      let log = '';
      child.stderr.on('data', (piece: Buffer) => {
        log = (log + piece.toString()).slice(-10_000);
        const running = /Running on http:\/\/127\.0\.0\.1:(\d+)/.exec(log);
        if (running) resolve(Number(running[1]));
      });
      child.once('exit', (code) => reject(new Error(`moto ended with ${code}: ${log}`)));
    });
    this.port = await within(started, 'moto to start', START_LIMIT_MS);
    return this;
  }

  /** For what a test looks at or lays down itself: S3's REST API, path and query as in a URL. */
  async request(method: string, path: string, body?: string | Buffer): Promise<string> {
    const authorization = 'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, Signature=none';
    const response = await fetch(`${this.endpoint}/${path}`, {
      method,
      headers: { authorization },
      ...(body !== undefined && { body }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.text();
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

export const NO_S3_SERVER = 'moto cannot be installed (Python 3 with venv, and PyPI): no S3 to test with';
