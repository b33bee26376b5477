import { Document } from '../../../src/document/document.js';
import { encodeDataRequest } from '../../../src/document/request.js';

/** The unary method of Jina's protocol; the bare echo answers under the same name. */
export const METHOD = '/jina.JinaSingleDataRequestRPC/process_single_data';
/** Of the bare responder on NATS. */
export const SUBJECT = 'bench.echo';

/** Whom to call. */
export type Peer = { kind: 'grpc'; address: string } | { kind: 'nats'; address: string };

/** What is called with, whoever is called: a request of one short text. */
export function requestBytes(): Buffer {
  return encodeDataRequest({
    header: { requestId: 'd3b07384d113edec49eaa6238ad5ff00', execEndpoint: '/encode' },
    parameters: {},
    routes: [],
    docs: [new Document({ text: 'a red circle on a blue square' }).toBytes()],
  });
}
