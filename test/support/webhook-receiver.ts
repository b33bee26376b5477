import { EventEmitter, on, once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { within } from './until.js';

export interface Received {
  headers: IncomingHttpHeaders;
  body: string;
  told: {
    flow: string;
    time: string;
    executors: { name: string; ongoing: number; replicas: number; wanted: number | null; [field: string]: unknown }[];
  };
}

/** An HTTP server that keeps what is posted to it; `await using` ends it. */
export class WebhookReceiver implements AsyncDisposable {
  readonly received: Received[] = [];
  #events = new EventEmitter();

  private constructor(private readonly server: Server) {}

  /** @param answer how the `index`th post is answered. Default: 204 */
  static async start(
    answer: (response: ServerResponse, index: number) => void = (response) => response.writeHead(204).end(),
  ): Promise<WebhookReceiver> {
    const server = createServer((request, response) => {
      void text(request).then((body) => {
        const told = JSON.parse(body) as Received['told'];
        receiver.received.push({ headers: request.headers, body, told });
        answer(response, receiver.received.length - 1);
        receiver.#events.emit('post');
      });
    });
    const receiver = new WebhookReceiver(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/load`;
  }

  /** The first post for which `wanted` holds, from the `from`th on, now or later. */
  async post(wanted: (post: Received) => boolean = () => true, from = 0): Promise<Received> {
    const find = (): Received | undefined => this.received.slice(from).find(wanted);
    const wait = async (): Promise<Received> => {
      const posts = on(this.#events, 'post');
      for (;;) {
        const found = find();
        if (found) return found;
        await posts.next();
      }
    };
    return within(wait(), 'a post to the webhook');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}
