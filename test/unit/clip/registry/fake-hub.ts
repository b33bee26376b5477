import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What goes wrong with one answer. */
export interface Fault {
  status?: number;
  headers?: Record<string, string>;
  /** Bytes of the body after which the connection breaks. */
  cut?: number;
  /** Bytes of the body after which nothing more comes. */
  stall?: number;
  /** Sent instead of the content. */
  body?: Buffer;
  /** Answers a Range with everything. */
  whole?: boolean;
}

export interface Seen {
  method: string;
  path: string;
  range: string | undefined;
  token: string | undefined;
  /** Large files come from a second server, as from the hub's CDN. */
  from: 'hub' | 'cdn';
}

export const REPOSITORY = 'immich-app/ViT-B-32__openai';
export const COMMIT = '5b0a6e5c1cf8ae0fdc1f2b2e6a6f0a3c4b7d9e10';

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex');
const gitId = (data: Buffer) => createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex');

/**
 * What a Hugging Face hub answers to a download of one public repository: its listing, the description of each file, and
 * the contents, the large ones (those that Git LFS keeps) by a redirect to another origin.
 */
export class FakeHub implements AsyncDisposable {
  readonly seen: Seen[] = [];
  /** Asked about each request in turn; the first fault that is given is played. */
  fault: (seen: Seen) => Fault | undefined | Promise<Fault | undefined> = () => undefined;
  /** Without it the repository is not to be seen. */
  token: string | undefined;
  commit = COMMIT;

  private constructor(
    readonly files: Map<string, Buffer>,
    private readonly hub: Server,
    private readonly cdn: Server,
  ) {
    hub.on(
      'request',
      (request: IncomingMessage, response: ServerResponse) => void this.#answer(request, response, 'hub'),
    );
    cdn.on(
      'request',
      (request: IncomingMessage, response: ServerResponse) => void this.#answer(request, response, 'cdn'),
    );
  }

  static async start(files: Record<string, Buffer>): Promise<FakeHub> {
    const [hub, cdn] = [createServer(), createServer()];
    for (const server of [hub, cdn]) await once(server.listen(0, '127.0.0.1'), 'listening');
    return new FakeHub(new Map(Object.entries(files)), hub, cdn);
  }

  get endpoint(): string {
    return addressOf(this.hub);
  }

  /** GETs of contents, by path in the repository or the CDN. */
  get fetches(): Seen[] {
    return this.seen.filter(({ method, path }) => method === 'GET' && !path.startsWith('/api/'));
  }

  etagOf(path: string): string {
    const data = this.files.get(path) ?? Buffer.alloc(0);
    return isLarge(path) ? sha256(data) : gitId(data);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.hub, this.cdn]) {
      server.closeAllConnections();
      await once(server.close(), 'close');
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse, from: Seen['from']): Promise<void> {
    const { method = '', url = '', headers } = request;
    const seen: Seen = { method, path: url, range: headers.range, token: headers.authorization, from };
    this.seen.push(seen);
    const fault = (await this.fault(seen)) ?? {};
    if (fault.status !== undefined) return void response.writeHead(fault.status, fault.headers).end();
    if (from === 'cdn') {
      const data = [...this.files.values()].find((one) => url === `/${sha256(one)}?signature=s3cret`);
      if (data) return send(request, response, data, {}, fault);
    } else if (this.token === undefined || seen.token === `Bearer ${this.token}`) {
      if (url === `/api/models/${REPOSITORY}/revision/main`) return this.#list(request, response, fault);
      const [, revision, path = ''] = /^\/immich-app\/ViT-B-32__openai\/resolve\/(\w+)\/(.*)$/.exec(url) ?? [];
      const data = revision === 'main' || revision === this.commit ? this.files.get(path) : undefined;
      if (data) return this.#file(request, response, path, data, fault);
    }
    response.writeHead(this.token === undefined ? 404 : 401).end();
  }

  #list(request: IncomingMessage, response: ServerResponse, fault: Fault): void {
    const siblings = [...this.files.keys()].map((rfilename) => ({ rfilename }));
    const listing = { id: REPOSITORY, sha: this.commit, siblings };
    send(request, response, Buffer.from(JSON.stringify(listing)), {}, fault);
  }

  #file(request: IncomingMessage, response: ServerResponse, path: string, data: Buffer, fault: Fault): void {
    const headers: Record<string, string> = { 'x-repo-commit': this.commit };
    if (!isLarge(path)) {
      return send(request, response, data, { ...headers, etag: `"${gitId(data)}"`, ...fault.headers }, fault);
    }
    headers['x-linked-etag'] = `"${sha256(data)}"`;
    headers['x-linked-size'] = String(data.length);
    headers.location = `${addressOf(this.cdn)}/${sha256(data)}?signature=s3cret`;
    response.writeHead(302, { ...headers, ...fault.headers }).end();
  }
}

function isLarge(path: string): boolean {
  return /\.(onnx|bin)$/.test(path);
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function send(
  { method, headers: asked }: IncomingMessage,
  response: ServerResponse,
  content: Buffer,
  headers: Record<string, string>,
  fault: Fault,
): void {
  const data = fault.body ?? content;
  const start = fault.whole ? undefined : /^bytes=(\d+)-$/.exec(asked.range ?? '')?.[1];
  const part = data.subarray(Number(start ?? 0));
  const range = `bytes ${start ?? 0}-${data.length - 1}/${data.length}`;
  response.writeHead(start === undefined ? 200 : 206, {
    'content-length': part.length,
    ...(start === undefined ? {} : { 'content-range': range }),
    ...headers,
  });
  const upTo = fault.cut ?? fault.stall;
  if (method === 'HEAD') response.end();
  else if (upTo === undefined) response.end(part);
  else response.write(part.subarray(0, upTo), () => fault.cut !== undefined && response.destroy());
}
