import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';

/** A protocol beside HTTP/1 on the same port. */
export interface SocketTaker {
  /** The bytes that every one of its connections starts with, and no HTTP/1 request does. */
  prefix: Buffer;
  take(socket: Socket): void;
}

/** Silence after which a connection that has not said what it speaks is closed. */
const FIRST_BYTES_MS = 10_000;

/**
 * Lets other protocols share the port of an HTTP/1 server, told apart by the first bytes of a connection (HTTP/2, and
 * with it gRPC, starts with `PRI * HTTP/2.0`). WebSocket needs none of this: it is an upgrade of HTTP/1.
 */
export function sharePort(server: Server, takers: readonly SocketTaker[]): void {
  // Under TLS the first bytes that count are those inside.
  const event = server instanceof TlsServer ? 'secureConnection' : 'connection';
  const http = server.listeners(event) as ((socket: Socket) => void)[];
  server.removeAllListeners(event);
  server.on(event, (socket: Socket) => {
    const accept = (taker: SocketTaker | undefined): void => {
      if (taker) taker.take(socket);
      else for (const listener of http) listener.call(server, socket);
    };
    if (takers.length === 0) accept(undefined);
    else void tellApart(socket, takers).then(accept, () => socket.destroy());
  });
}

async function tellApart(socket: Socket, takers: readonly SocketTaker[]): Promise<SocketTaker | undefined> {
  let seen = Buffer.alloc(0);
  for (;;) {
    seen = Buffer.concat([seen, await firstBytes(socket)]);
    const open = takers.filter(({ prefix }) => prefix.subarray(0, seen.length).equals(seen.subarray(0, prefix.length)));
    const whole = open.find(({ prefix }) => seen.length >= prefix.length);
    if (whole ?? open.length === 0) {
      socket.unshift(seen);
      return whole;
    }
  }
}

function firstBytes(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const silent = setTimeout(() => fail(new Error('the connection stays silent')), FIRST_BYTES_MS);
    const stop = (): void => {
      clearTimeout(silent);
      socket.off('readable', onReadable).off('end', onEnd).off('error', fail).off('close', onEnd);
    };
    const fail = (error: Error): void => {
      stop();
      reject(error);
    };
    const onEnd = (): void => fail(new Error('the connection ended before it said what it speaks'));
    const onReadable = (): void => {
      const chunk = socket.read() as Buffer | null;
      if (!chunk) return; // The end of the stream: `end` follows.
      stop();
      resolve(chunk);
    };
    // HTTP servers keep half-open connections: after `end`, no `close` follows by itself.
    socket.on('readable', onReadable).on('end', onEnd).on('error', fail).on('close', onEnd);
  });
}
