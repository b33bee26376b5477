import type { ServiceError } from '@grpc/grpc-js';
import { connect } from '@nats-io/transport-node';
import { serveUnary } from '../serve-unary.js';
import { SUBJECT } from './peer.js';

/**
 * What clipflow is held against, as a process of its own: `grpc` answers each call, `nats <address>` each request, and
 * `relay <address>` passes each call on as a request and its answer back: the least that gRPC over NATS can be.
 */
const [kind, address = ''] = process.argv.slice(2);

if (kind === 'grpc') {
  serveUnary(({ request }, done) => done(null, request));
} else {
  const connection = await connect({ servers: address });
  if (kind === 'relay') {
    serveUnary(({ request }, done) => {
      connection.request(SUBJECT, request, { timeout: 10_000 }).then(
        ({ data }) => done(null, Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
        (error: Partial<ServiceError>) => done(error),
      );
    });
  } else {
    connection.subscribe(SUBJECT, { callback: (_error, message) => void message.respond(message.data) });
    await connection.flush();
    process.send?.({ port: 0 });
  }
}
process.on('disconnect', () => process.exit(0));
