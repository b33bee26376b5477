import { once } from 'node:events';
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import { within } from './until.js';

/** A gRPC call of which the body is written by hand: prefix and all. Resolves to `grpc-status`, undefined if it has none. */
export async function rawGrpcCall(
  port: number,
  body: Buffer,
  headers: Record<string, string> = {},
): Promise<string | undefined> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  const stream = session.request({
    ':method': 'POST',
    ':path': '/jina.JinaRPC/Call',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  let status: string | undefined;
  const note = (got: IncomingHttpHeaders): void => {
    status = got['grpc-status']?.toString() ?? status;
  };
  stream
    .on('response', note)
    .on('trailers', note)
    .on('error', () => {})
    .resume();
  stream.end(body);
  await within(once(stream, 'close'), 'the end of the raw gRPC call');
  session.close();
  return status;
}

/** A message of gRPC: whether it is compressed, how long it says that it is, what follows. */
export function grpcFrame(content: Buffer, { compressed = 0, length = content.length } = {}): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(compressed, 0);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, content]);
}

/** Sends bytes on a connection of their own and resolves, to what came back, when the server has closed it. */
export async function rawConnection(port: number, bytes: Buffer): Promise<Buffer> {
  const socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {});
  socket.write(bytes);
  await within(once(socket, 'close'), 'the server to close the connection');
  return Buffer.concat(chunks);
}
