import { connect } from '@nats-io/transport-node';
import { serveUnary } from '../serve-unary.js';
import { SUBJECT } from './peer.js';

/** What clipflow is held against, as a process of its own: `grpc` answers each call, `nats <address>` each request. */
const [kind, address] = process.argv.slice(2);

if (kind === 'grpc') {
  serveUnary(({ request }, done) => done(null, request));
} else {
  const connection = await connect({ servers: address ?? '' });
  connection.subscribe(SUBJECT, { callback: (_error, message) => void message.respond(message.data) });
  await connection.flush();
  process.send?.({ port: 0 });
}
process.on('disconnect', () => process.exit(0));
