import {
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import type { Socket } from 'node:net';
import { dryRunBytes } from '../dry-run.js';
import type { SocketTaker } from '../port.js';
import type { ProtocolContext } from '../protocol-context.js';
import { callOnce, callStream } from './data-service.js';
import { endpoints, info } from './info-service.js';
import { KEDA_PROTO, KEDA_SERVICE, kedaScaler } from './keda-scaler.js';
import { PROTOS, rawService } from './protos.js';

/** HTTP/2 flow control window: the default of 64 KiB stalls on images. */
const WINDOW_BYTES = 4 * 1024 * 1024;

/** Every connection of HTTP/2, and so of gRPC, starts so (RFC 9113, section 3.4). */
const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

type Unary = ServerUnaryCall<Buffer, Buffer>;

const SERVICES: Record<string, (context: ProtocolContext) => UntypedServiceImplementation> = {
  'jina.JinaRPC': (context) => ({
    Call: (call: ServerDuplexStream<Buffer, Buffer>) => void callStream(context, call),
  }),
  'jina.JinaSingleDataRequestRPC': (context) => ({
    process_single_data: (call: Unary, done: sendUnaryData<Buffer>) => void callOnce(context, call, done),
  }),
  'jina.JinaDiscoverEndpointsRPC': (context) => ({
    endpoint_discovery: (_call: Unary, done: sendUnaryData<Buffer>) => done(null, endpoints(context)),
  }),
  'jina.JinaGatewayDryRunRPC': (context) => ({
    dry_run: (_call: Unary, done: sendUnaryData<Buffer>) => done(null, dryRunBytes(context)),
  }),
  'jina.JinaInfoRPC': () => ({
    _status: (_call: Unary, done: sendUnaryData<Buffer>) => done(null, info()),
  }),
};

/** The gRPC protocol of CLIP-as-service, with health and reflection. It listens on no port: sockets are given to it. */
export class GrpcServer implements SocketTaker {
  readonly prefix = HTTP2_PREFACE;
  readonly #server: Server;
  readonly #health = new HealthImplementation();
  readonly #take: (socket: Socket) => void;

  constructor(context: ProtocolContext) {
    this.#server = new Server({
      'grpc.max_receive_message_length': context.flow.limits.bodyBytes,
      'grpc.max_send_message_length': -1,
      'grpc-node.flow_control_window': WINDOW_BYTES,
      ...context.flow.gateway.grpcServerOptions,
    });
    for (const [name, implement] of Object.entries(SERVICES)) {
      this.#server.addService(rawService(name), implement(context));
    }
    this.#server.addService(KEDA_SERVICE, kedaScaler(context));
    this.#health.addToServer(this.#server);
    const services = [...Object.keys(SERVICES), 'externalscaler.ExternalScaler'];
    new ReflectionService({ ...PROTOS, ...KEDA_PROTO }, { services }).addToServer(this.#server);
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#take = (socket) => injector.injectConnection(socket);
  }

  take(socket: Socket): void {
    this.#take(socket);
  }

  /** What `grpc.health.v1` answers, for the server as a whole and for each service. */
  setServing(serving: boolean): void {
    for (const name of ['', ...Object.keys(SERVICES)])
      this.#health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }

  /** Takes no new calls, and resolves when those under way have been answered. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
  }
}
