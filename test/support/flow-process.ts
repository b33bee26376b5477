import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { within } from './until.js';

const CLI = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
/** Root of the checkout; tests run from dist/test/. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

const START_LIMIT_MS = 60_000;
/** Between two looks at `/status`. */
const STATUS_MS = 20;

export interface LogEvent {
  event: string;
  process?: string;
  [field: string]: unknown;
}

export interface ReplicaEntry {
  id: string;
  pid: number;
  host: string;
  state: string;
  outstanding: number;
}

export interface FlowOptions {
  /** A file, from the root of the checkout. @default flows/default.yml */
  flow?: string;
  /** YAML text, given by standard input instead of a file. */
  text?: string;
  env?: Record<string, string>;
  args?: string[];
  /** What `clipflow` is. @default the checkout's, run by this Node */
  command?: [program: string, ...args: string[]];
}

/** `clipflow serve` as a process, on a free port; `await using` ends it as an operator would. */
export class FlowProcess implements AsyncDisposable {
  readonly events: LogEvent[] = [];
  stdout = '';
  stderr = '';
  #port = 0;
  /** Emits `change` on output and on exit. */
  #changes = new EventEmitter();

  private constructor(readonly child: ChildProcess) {
    this.#changes.setMaxListeners(0);
    child.on('exit', () => this.#changes.emit('change'));
    child.stdout?.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString();
      const welcome = /serves \S+?:(\d+) /.exec(this.stdout);
      if (welcome) this.#port = Number(welcome[1]);
      this.#changes.emit('change');
    });
    let line = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
      const lines = (line + chunk.toString()).split('\n');
      line = lines.pop() ?? '';
      for (const one of lines) if (one.startsWith('{')) this.events.push(JSON.parse(one) as LogEvent);
      this.#changes.emit('change');
    });
  }

  /** Resolves when the flow is ready. */
  static async start(options: FlowOptions = {}): Promise<FlowProcess> {
    const flow = FlowProcess.launch(options);
    try {
      await within(flow.#untilListening(), 'the flow to be ready', START_LIMIT_MS);
      return flow;
    } catch (error) {
      await flow.stop('SIGKILL');
      throw error;
    }
  }

  /** Resolves at once: for flows that refuse to start. */
  static launch(options: FlowOptions): FlowProcess {
    const { flow = 'flows/default.yml', text, env = {}, args = [], command = [process.execPath, CLI] } = options;
    const [program, ...before] = command;
    const child = spawn(program, [...before, 'serve', text === undefined ? flow : '-', '--port', '0', ...args], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin.end(text);
    return new FlowProcess(child);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async post(body: unknown, path = '/post'): Promise<{ status: number; body: PostAnswer }> {
    const response = await fetch(this.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as PostAnswer };
  }

  async replicas(executor: string): Promise<ReplicaEntry[]> {
    const status = (await (await fetch(`${this.url}/status`)).json()) as {
      executors: { name: string; replicas: ReplicaEntry[] }[];
    };
    return status.executors.find(({ name }) => name === executor)?.replicas ?? [];
  }

  /** Resolves when so many replicas are ready, as the gateway sees it. */
  async untilReady(executor: string, count: number): Promise<ReplicaEntry[]> {
    const wait = async (): Promise<ReplicaEntry[]> => {
      for (;;) {
        const ready = (await this.replicas(executor)).filter(({ state }) => state === 'ready');
        if (ready.length === count) return ready;
        await delay(STATUS_MS);
      }
    };
    return within(wait(), `${count} ready replicas of ${executor}`, START_LIMIT_MS);
  }

  /** The first log event for which `wanted` holds, from the `from`th on, now or later. */
  async event(wanted: (event: LogEvent) => boolean, from = 0): Promise<LogEvent> {
    const find = (): LogEvent | undefined => this.events.slice(from).find(wanted);
    const wait = async (): Promise<LogEvent> => {
      for (;;) {
        const found = find();
        if (found) return found;
        await once(this.#changes, 'change');
      }
    };
    return within(wait(), 'a log event', START_LIMIT_MS);
  }

  /** Exit code, or the signal that ended it. */
  async exited(): Promise<number | string | null> {
    const { exitCode, signalCode } = this.child;
    if (exitCode !== null || signalCode !== null) return exitCode ?? signalCode;
    const [code, signal] = (await within(once(this.child, 'exit'), 'the flow to exit', START_LIMIT_MS)) as [
      number | null,
      NodeJS.Signals | null,
    ];
    return code ?? signal;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string | null> {
    this.child.kill(signal);
    return this.exited();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #untilListening(): Promise<void> {
    while (this.#port === 0) {
      if (this.child.exitCode !== null) throw new Error(`the flow ended with ${this.child.exitCode}:\n${this.stderr}`);
      await once(this.#changes, 'change');
    }
  }
}

export interface AnsweredDocument {
  id: string;
  text: string | null;
  blob: string | null;
  uri: string | null;
  mime_type: string | null;
  embedding: number[] | null;
  tags: Record<string, unknown> | null;
  matches: AnsweredDocument[] | null;
  chunks: AnsweredDocument[] | null;
}

export interface PostAnswer {
  header: {
    requestId: string;
    status: { code: number; description: string; exception: { name: string; args: string[] } | null } | null;
  };
  routes: { executor: string; startTime: string; endTime: string | null }[];
  data: AnsweredDocument[];
  detail?: string | { loc: (string | number)[]; msg: string; type: string }[];
}
