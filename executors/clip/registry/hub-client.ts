import { EnvHttpProxyAgent, request, type Dispatcher } from 'undici';
import { z } from 'zod';
import { ClipflowError } from '../../../src/errors.js';
import { VERSION } from '../../../src/version.js';
import type { HubSettings } from './hub-settings.js';
import { PassingFailure, type Retry } from './retry.js';

const MAX_REDIRECTS = 5;

const Revision = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(z.object({ rfilename: z.string() })),
});

/** A revision of a repository. */
export interface Listing {
  commit: string;
  files: string[];
}

/** A file of a commit, as the hub describes it before it is fetched. */
export interface HubFile {
  path: string;
  url: URL;
  /** SHA-256 of a large file, git's object id of another; the name of its blob in the cache. */
  etag: string;
  /** Bytes. */
  size: number;
}

/** What a hub answers to a GET. The body must be read to its end or destroyed. */
export type HubResponse = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'>;

/**
 * The three calls of a Hugging Face hub that a download takes, as huggingface_hub makes them, so that mirrors which
 * serve Python serve these too. Passing failures of the first two are retried here.
 */
export class HubClient {
  /** HTTP(S)_PROXY and NO_PROXY are obeyed, as Python's client does. */
  readonly #dispatcher = new EnvHttpProxyAgent();

  constructor(
    private readonly settings: HubSettings,
    private readonly retry: Retry,
    /** Silence of a connection, in milliseconds, that breaks it off. */
    private readonly stallMs: number,
  ) {}

  async list(repository: string, revision: string): Promise<Listing> {
    const url = new URL(`${this.settings.endpoint}/api/models/${repository}/revision/${encodeURIComponent(revision)}`);
    const what = `${repository} could not be listed`;
    const answer = await this.retry(what, async () => {
      const { body } = await this.#request('GET', url, what);
      return body.text();
    });
    const parsed = Revision.safeParse(parseJson(answer));
    if (!parsed.success) {
      throw new ClipflowError('MODEL_UNAVAILABLE', `${what}: ${url.host} does not answer as a hub; check HF_ENDPOINT`);
    }
    const files = parsed.data.siblings.map(({ rfilename }) => rfilename);
    return { commit: parsed.data.sha, files: files.filter(isInside) };
  }

  async describe(repository: string, commit: string, path: string): Promise<HubFile> {
    const escaped = path.split('/').map(encodeURIComponent).join('/');
    const url = new URL(`${this.settings.endpoint}/${repository}/resolve/${commit}/${escaped}`);
    const what = `${path} of ${repository} could not be found`;
    return this.retry(what, async () => {
      const { headers, statusCode, body } = await this.#request('HEAD', url, what);
      await body.dump();
      // A large file is somewhere else: then these headers are its own, and the others are the redirect's.
      const etag = String(headers['x-linked-etag'] ?? headers.etag ?? '').replace(/^W\/|"/g, '');
      const size = headers['x-linked-size'] ?? (isRedirect(statusCode) ? undefined : headers['content-length']);
      if (!/^[\w-]+$/.test(etag) || !/^\d+$/.test(String(size))) {
        throw new ClipflowError('MODEL_UNAVAILABLE', `${what}: the hub gives no ETag or no size; check HF_ENDPOINT`);
      }
      return { path, url, etag, size: Number(size) };
    });
  }

  /**
   * The content from a byte on: 206 if the server can, else 200 with all of it.
   * @throws PassingFailure or an error of the network; ClipflowError MODEL_UNAVAILABLE when asking again is no use
   */
  async open({ url, path }: HubFile, from: number): Promise<HubResponse> {
    return this.#request('GET', url, `${path} could not be fetched`, from > 0 ? { range: `bytes=${from}-` } : {});
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  /** Follows redirects: those of a HEAD within the hub only, and not past the headers that it is for. */
  async #request(
    method: 'GET' | 'HEAD',
    from: URL,
    what: string,
    headers: Record<string, string> = {},
  ): Promise<HubResponse> {
    const { token, endpoint } = this.settings;
    const origin = new URL(endpoint).origin;
    let url = from;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await request(url, {
        method,
        dispatcher: this.#dispatcher,
        headersTimeout: this.stallMs,
        bodyTimeout: this.stallMs,
        headers: {
          ...headers,
          'user-agent': `clipflow/${VERSION}`,
          'accept-encoding': 'identity', // sizes and ETags of compressed answers are others
          // The token is the hub's alone: who it redirects to must not see it.
          ...(token !== undefined && url.origin === origin ? { authorization: `Bearer ${token}` } : {}),
        },
      });
      const next = isRedirect(response.statusCode) ? redirectOf(response, url) : undefined;
      const described = next?.origin !== origin || response.headers['x-linked-etag'] !== undefined;
      if (!next || (method === 'HEAD' && described)) {
        if (response.statusCode >= 400) await refuse(response, url.host, what, token !== undefined);
        return response;
      }
      await response.body.dump();
      url = next;
    }
    throw new ClipflowError('MODEL_UNAVAILABLE', `${what}: ${from.host} redirects more than ${MAX_REDIRECTS} times`);
  }
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

function redirectOf({ headers }: HubResponse, base: URL): URL | undefined {
  const location = String(headers.location ?? '');
  return location !== '' && URL.canParse(location, base.href) ? new URL(location, base) : undefined;
}

/** Only hosts are named: a redirect's address may carry a signature that opens it. */
async function refuse({ statusCode, headers, body }: HubResponse, host: string, what: string, token: boolean) {
  await body.dump();
  if (statusCode === 408 || statusCode === 416 || statusCode === 429 || statusCode >= 500) {
    const seconds = Number(headers['retry-after'] ?? 0);
    throw new PassingFailure(`${host} answered with status ${statusCode}`, seconds > 0 ? seconds * 1_000 : 0);
  }
  const mend =
    statusCode === 401 || statusCode === 403
      ? `: ${token ? 'HF_TOKEN may not read it' : 'it is not public; set HF_TOKEN'}, or it does not exist`
      : statusCode === 404
        ? ': it is not there; check HF_ENDPOINT'
        : '';
  throw new ClipflowError('MODEL_UNAVAILABLE', `${what}: ${host} answered with status ${statusCode}${mend}`);
}

/** File names become paths of the cache. */
function isInside(path: string): boolean {
  return !/^\/|\\|(^|\/)\.{1,2}(\/|$)/.test(path);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
