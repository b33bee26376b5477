import { ClipflowError } from '../errors.js';
import { EmbeddedTransport, embeddedSocketPath } from './embedded.js';
import { NatsTransport } from './nats.js';
import type { Transport } from './transport.js';

/**
 * @param address `embedded` (a socket of this user and flow), `embedded:<path>`, or `nats://host:port[,...]`
 * @param namespace name of the flow: keeps flows apart that share a machine or a NATS server
 */
export async function openTransport(address: string, namespace: string): Promise<Transport> {
  if (address === 'embedded') return new EmbeddedTransport(embeddedSocketPath(namespace));
  if (address.startsWith('embedded:')) return new EmbeddedTransport(address.slice('embedded:'.length));
  if (/^(nats|tls):\/\//.test(address)) return NatsTransport.connect(address, namespace);
  throw new ClipflowError(
    'INVALID_CONFIG',
    `transport "${address}" is not known: expected "embedded" or "nats://host:4222" (with.transport or CLIPFLOW_TRANSPORT)`,
  );
}
