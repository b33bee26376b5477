import { createHmac } from 'node:crypto';
import { hostname } from 'node:os';
import type { Flow, WebhookConfig } from '../flow/flow.js';
import type { Logger } from '../telemetry/log.js';
import type { ExecutorLoad } from './load.js';
import { AutoscalePolicy } from './policy.js';

/** Between two looks at the load. */
const LOOK_MS = 250;
const TIMEOUT_MS = 5000;
/** From the first failure on, doubled with each further one. */
const BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 60_000;

export interface WebhookOptions extends Pick<WebhookConfig, 'url' | 'everyMs'> {
  /** Key of the signature; absent: it is not signed. */
  secret: string | undefined;
  /** For all gateways of the flow. */
  loads: () => ExecutorLoad[];
  /** Replicas of an executor that are ready. */
  replicas: (executor: string) => number;
  onPosted: (ok: boolean) => void;
}

/** What is posted, as JSON. */
interface Told {
  flow: string;
  gateway: string;
  /** ISO 8601; part of what is signed, so that a receiver can turn old ones away. */
  time: string;
  executors: ToldExecutor[];
}

interface ToldExecutor {
  name: string;
  queued: number;
  running: number;
  ongoing: number;
  queue_age_seconds: number;
  busy: number;
  /** Replicas that are ready. */
  replicas: number;
  /** Replicas that there should be; null where the flow has no `autoscale` for the executor. */
  wanted: number | null;
}

/**
 * Posts the load of each executor to a URL: at the start, when the number of replicas that are wanted changes, and every
 * `everyMs`. What fails is posted again, with the load of then. Posting never delays requests.
 */
export class LoadWebhook {
  #wanted = new Map<string, { policy: AutoscalePolicy; replicas: number }>();
  /** The numbers wanted that the receiver has. */
  #told = '';
  #nextMs = 0;
  #failures = 0;
  #posting = false;
  #closed = new AbortController();
  #timer: NodeJS.Timeout;

  constructor(
    private readonly flow: Flow,
    private readonly options: WebhookOptions,
    private readonly log: Logger,
  ) {
    for (const { name, autoscale, replicas } of flow.executors) {
      if (autoscale) this.#wanted.set(name, { policy: new AutoscalePolicy(autoscale), replicas });
    }
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#closed.abort();
  }

  #look(): void {
    const now = performance.now();
    const executors = this.options.loads().map((load) => this.#tell(load, now));
    if (this.#posting) return;
    const wanted = JSON.stringify(executors.map((executor) => executor.wanted));
    const changed = wanted !== this.#told && this.#failures === 0;
    if (changed || now >= this.#nextMs) void this.#post(executors, wanted);
  }

  #tell(load: ExecutorLoad, now: number): ToldExecutor {
    const { executor: name, queued, running, queueAge, busy } = load;
    const scaled = this.#wanted.get(name);
    if (scaled) scaled.replicas = scaled.policy.decide(load, scaled.replicas, now);
    const [ongoing, replicas] = [queued + running, this.options.replicas(name)];
    const wanted = scaled?.replicas ?? null;
    return { name, queued, running, ongoing, queue_age_seconds: queueAge, busy, replicas, wanted };
  }

  async #post(executors: ToldExecutor[], wanted: string): Promise<void> {
    const { url, secret, everyMs, onPosted } = this.options;
    const gateway = `${hostname()}:${process.pid}`;
    const told: Told = { flow: this.flow.name, gateway, time: new Date().toISOString(), executors };
    this.#posting = true;
    const failure = await post(url, JSON.stringify(told), secret, this.#closed.signal);
    this.#posting = false;
    if (this.#closed.signal.aborted) return;
    onPosted(failure === undefined);
    if (failure === undefined) {
      if (this.#failures > 0) this.log.info({ event: 'webhook_recovered', failures: this.#failures });
      this.#failures = 0;
      this.#told = wanted;
      this.#nextMs = performance.now() + everyMs;
    } else {
      if (this.#failures === 0) this.log.warn({ event: 'webhook_failed', host: new URL(url).host, reason: failure });
      this.#nextMs = performance.now() + Math.min(BACKOFF_MS * 2 ** this.#failures, MAX_BACKOFF_MS);
      this.#failures += 1;
    }
  }
}

/** Why it failed; undefined when it did not. */
async function post(
  url: string,
  body: string,
  secret: string | undefined,
  closed: AbortSignal,
): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(secret !== undefined && { 'x-clipflow-signature': signature(secret, body) }),
      },
      body,
      redirect: 'error',
      signal: AbortSignal.any([closed, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    await response.body?.cancel();
    return response.ok ? undefined : `answered ${response.status}`;
  } catch (error) {
    const { message, cause } = error as Error;
    return cause instanceof Error ? `${message}: ${cause.message}` : message;
  }
}

/** `sha256=` and the HMAC-SHA256 of the body in hexadecimal, as webhooks of GitHub are signed. */
export function signature(secret: string, body: string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}
