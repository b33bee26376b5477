import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import { METHOD } from './overhead/peer.js';

const asIs = (bytes: Buffer): Buffer => bytes;

/** A bare grpc-js server with the one method of Jina's protocol, on bytes as they are; tells the parent process its port. */
export function serveUnary(answer: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => void): void {
  const server = new Server();
  const method = {
    path: METHOD,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  server.addService({ method }, { method: answer });
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.send?.({ port });
  });
}
