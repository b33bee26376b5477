import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { peerOf } from '../call-settings.js';
import { dryRunBytes } from '../dry-run.js';
import type { Caller } from '../auth/tokens.js';
import type { ProtocolContext } from '../protocol-context.js';
import { BYTES, JSON_TEXT } from './codec.js';
import { DRAIN, serveSocket } from './session.js';

const SUBPROTOCOLS = ['bytes', 'json'];

/**
 * The WebSocket protocol of CLIP-as-service, an upgrade of HTTP/1 at `/`. The subprotocol `bytes` means protobuf in
 * binary frames, `json` or none means JSON in text frames.
 */
export class WebSocketProtocol {
  readonly #server: WebSocketServer;

  constructor(private readonly context: ProtocolContext) {
    this.#server = new WebSocketServer({
      noServer: true,
      maxPayload: context.flow.limits.bodyBytes,
      perMessageDeflate: false,
      // The peer names none, which browsers refuse; its clients do not look.
      handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false,
    });
  }

  attach(http: Server): void {
    http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const path = request.url?.split('?')[0];
      if (path !== '/' && path !== '/dry_run') {
        refuse(socket, '404 Not Found');
        return;
      }
      const caller = this.#callerOf(request);
      if (!caller) {
        refuse(socket, '401 Unauthorized');
        return;
      }
      this.#server.handleUpgrade(request, socket, head, (webSocket) => {
        if (path === '/')
          serveSocket(
            this.context,
            { caller, peer: peerOf(request.socket) },
            webSocket,
            webSocket.protocol === 'bytes' ? BYTES : JSON_TEXT,
          );
        else answerDryRun(this.context, webSocket);
      });
    });
  }

  #callerOf({ headers }: IncomingMessage): Caller | undefined {
    try {
      return this.context.tokens.check(headers.authorization);
    } catch {
      return undefined;
    }
  }

  /** Closes what is idle; sockets with requests in hand close once those are answered. */
  async close(): Promise<void> {
    const sockets = [...this.#server.clients];
    await Promise.all(sockets.map((socket) => closed(socket)));
    this.#server.close();
  }
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
}

function answerDryRun(context: ProtocolContext, socket: WebSocket): void {
  socket.on('error', () => socket.terminate());
  socket.once('message', () => {
    socket.send(dryRunBytes(context));
    socket.close(1000);
  });
}

async function closed(socket: WebSocket): Promise<void> {
  await new Promise<void>((resolve) => {
    if (socket.readyState === socket.CLOSED) resolve();
    socket.once('close', () => resolve());
    socket.emit(DRAIN);
  });
}
