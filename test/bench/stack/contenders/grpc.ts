import { Client, credentials } from '@grpc/grpc-js';
import { Document } from '../../../../src/document/document.js';
import { decodeDataRequest, encodeDataRequest } from '../../../../src/document/request.js';
import { METHOD } from '../../overhead/peer.js';
import { ENDPOINTS, type Contender } from '../contender.js';
import type { Content } from '../../workload.js';

const asIs = (bytes: Buffer): Buffer => bytes;

/** Jina's protocol over one channel, a unary call for each request; the images do not come back. */
export function openGrpc(url: string): Contender {
  const client = new Client(new URL(url).host, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1 });
  return {
    prepare: (batch, model) => {
      const request = encodeDataRequest({
        header: { requestId: 'bench', execEndpoint: ENDPOINTS[model] },
        parameters: { drop_image_content: true },
        routes: [],
        docs: batch.map(toBytes),
      });
      return async () => {
        const bytes = await new Promise<Buffer>((resolve, reject) => {
          client.makeUnaryRequest(METHOD, asIs, asIs, request, (error, answer) => {
            if (answer) resolve(answer);
            else reject(error ?? new Error('gRPC gave no answer'));
          });
        });
        return () => firstEmbedding(bytes);
      };
    },
  };
}

function toBytes(content: Content): Uint8Array {
  return new Document('text' in content ? content : { blob: content.image }).toBytes();
}

function firstEmbedding(answer: Uint8Array): Float32Array {
  const { header, docs } = decodeDataRequest(answer);
  const embedding = docs[0] && Document.fromBytes(docs[0]).embedding;
  if (header.status || !embedding) throw new Error(`an answer without embedding: ${JSON.stringify(header.status)}`);
  return embedding.toFloat32();
}
