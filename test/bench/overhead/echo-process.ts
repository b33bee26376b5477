import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import { connect } from '@nats-io/transport-node';
import { METHOD, SUBJECT } from './peer.js';

/** What clipflow is held against, as a process of its own: `grpc` answers each call, `nats <address>` each request. */
const [kind, address] = process.argv.slice(2);

if (kind === 'grpc') {
  const server = new Server();
  const asIs = (bytes: Buffer): Buffer => bytes;
  const echo = {
    path: METHOD,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  server.addService(
    { echo },
    { echo: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, call.request) },
  );
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.send?.({ port });
  });
} else {
  const connection = await connect({ servers: address ?? '' });
  connection.subscribe(SUBJECT, { callback: (_error, message) => void message.respond(message.data) });
  await connection.flush();
  process.send?.({ port: 0 });
}
process.on('disconnect', () => process.exit(0));
