import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { z } from 'zod';
import { ClipflowError, ERRORS, isErrorCode } from '../errors.js';

export interface GatewayClientOptions {
  /** http(s)://host:port */
  url: string;
  /** Certificate (PEM) of the gateway, where it speaks TLS with one of its own. */
  ca?: string | undefined;
  /** Shown to the gateway, where it asks for tokens; see `WORKER_TOKEN`. */
  token?: string | undefined;
  concurrency: number;
}

export interface GatewayAnswer {
  status: number;
  requestId: string;
  /** JSON. */
  body: string;
}

/** A gateway that restarts is back by then. */
const PATIENCE_MS = 60_000;
const PAUSE_MAX_MS = 4000;
/** Characters of an answer that is none of ours. */
const SHOWN = 500;
/** Images of a group may have to be fetched. */
const ANSWER_MS = 300_000;

/** Asks the gateway with the priority `bulk`, and again where that may help. */
export class GatewayClient {
  readonly #agent: Agent;

  constructor(private readonly options: GatewayClientOptions) {
    const { ca, concurrency } = options;
    this.#agent = new Agent({
      connections: concurrency,
      headersTimeout: ANSWER_MS,
      bodyTimeout: ANSWER_MS,
      // The very certificate is known, so it does not matter under which name the gateway is reached.
      ...(ca === undefined ? {} : { connect: { ca, checkServerIdentity: () => undefined } }),
    });
  }

  /**
   * @param owner in whose name
   * @throws UNAVAILABLE when the gateway could not be reached, or had no room, for a minute
   */
  async post(path: string, body: string, owner: string, signal: AbortSignal): Promise<GatewayAnswer> {
    const until = Date.now() + PATIENCE_MS;
    for (let pause = 100; ; pause = Math.min(pause * 2, PAUSE_MAX_MS)) {
      const answer = await this.#try(path, body, owner, signal);
      if (typeof answer !== 'string' && !worthAnotherTry(answer)) return answer;
      if (Date.now() + pause > until) {
        const why = typeof answer === 'string' ? answer : `it answers ${answer.status}: ${answer.body.slice(0, SHOWN)}`;
        throw new ClipflowError('UNAVAILABLE', `the gateway ${this.options.url} does not serve: ${why}`);
      }
      // Not all at once.
      await delay(pause * (0.5 + Math.random()), undefined, { signal });
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  /** The answer, or why there is none. */
  async #try(path: string, body: string, owner: string, signal: AbortSignal): Promise<GatewayAnswer | string> {
    const { url, token } = this.options;
    try {
      const {
        statusCode,
        headers,
        body: answer,
      } = await request(new URL(path, url), {
        method: 'POST',
        dispatcher: this.#agent,
        signal,
        headers: {
          'content-type': 'application/json',
          'x-priority': 'bulk',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}`, 'x-clipflow-caller': owner }),
        },
        body,
      });
      return { status: statusCode, requestId: String(headers['x-request-id'] ?? ''), body: await answer.text() };
    } catch (error) {
      if (signal.aborted) throw error;
      return error instanceof Error ? error.message : String(error);
    }
  }
}

/** The flow could not serve it now; what is wrong with the request itself stays wrong. */
function worthAnotherTry({ status, body }: GatewayAnswer): boolean {
  if (status === 429 || status === 502 || status === 503 || status === 504) return true;
  if (status < 500) return false;
  const code = errorOf(body).code.toUpperCase();
  return isErrorCode(code) && ERRORS[code].retryable;
}

/** As the gateway's routes under /v1 write errors; which input of a request one is about, its message need not tell. */
export const GatewayError = z
  .object({ code: z.string().nullable(), message: z.string(), param: z.string().nullish() })
  .transform(({ code, message, param }) => {
    const prefix = `${param}: `;
    return { code: code ?? 'internal', message: message.startsWith(prefix) ? message.slice(prefix.length) : message };
  });

const Refusal = z.object({ error: GatewayError });

/** What an answer that is an error says. */
export function errorOf(body: string): { code: string; message: string } {
  try {
    return Refusal.parse(JSON.parse(body)).error;
  } catch {
    return { code: 'internal', message: body.slice(0, SHOWN) };
  }
}
