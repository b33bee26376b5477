import type { AddressInfo } from 'node:net';
import type { GatewayConfig, Protocol } from '../src/flow/flow.js';
import { GrpcServer } from './grpc/server.js';
import { createHttpApp } from './http/app.js';
import { listen } from './listen.js';
import { sharePort } from './port.js';
import type { ProtocolContext } from './protocol-context.js';
import { readTls } from './tls.js';
import { WebSocketProtocol } from './websocket/server.js';

export interface OpenPort {
  /** The number that was bound, where the flow asks for 0. */
  port: number;
  /** Tells the protocols that have a health check of their own. */
  setServing(serving: boolean): void;
  /** Stops accepting, and resolves when every request has its answer. */
  close(): Promise<void>;
}

/** One port of the gateway with the protocols that it speaks; health, status and metrics are served by HTTP on each. */
export async function openPort(
  context: ProtocolContext,
  { port, protocols }: GatewayConfig['listen'][number],
): Promise<OpenPort> {
  const { gateway } = context.flow;
  const tls = gateway.tls && (await readTls(gateway.tls, gateway.uvicornKwargs.ssl_keyfile_password));
  const has = (protocol: Protocol): boolean => protocols.includes(protocol);
  const http = await createHttpApp(context, { tls, data: has('http') });
  const grpc = has('grpc') ? new GrpcServer(context) : undefined;
  const webSocket = has('websocket') ? new WebSocketProtocol(context) : undefined;
  sharePort(http.server, grpc ? [grpc] : []);
  webSocket?.attach(http.server);
  await listen(http, { port, host: gateway.host }, context.log);
  const bound = (http.server.address() as AddressInfo).port;
  context.log.info({ event: 'gateway_listening', host: gateway.host, port: bound, protocols, tls: tls !== undefined });
  return {
    port: bound,
    setServing: (serving) => grpc?.setServing(serving),
    close: async () => {
      await Promise.all([http.close(), grpc?.close(), webSocket?.close()]);
    },
  };
}
