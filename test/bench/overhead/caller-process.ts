import { Client, credentials } from '@grpc/grpc-js';
import { connect } from '@nats-io/transport-node';
import { decodeDataRequest } from '../../../src/document/request.js';
import { METHOD, requestBytes, SUBJECT, type Peer } from './peer.js';

/** What is timed at a time. */
export interface Leg {
  /** How long calls are made. */
  seconds: number;
  /** Calls under way at once. */
  inFlight: number;
}

export interface LegResult {
  calls: number;
  seconds: number;
  latenciesMs: number[];
}

type Call = () => Promise<Uint8Array>;

const request = requestBytes();
const call = await open(JSON.parse(process.argv[2] ?? '{}') as Peer);
checkAnswer(await call());
process.on('message', (leg: Leg) => {
  void run(leg).then((result) => process.send?.(result));
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');

async function open(peer: Peer): Promise<Call> {
  if (peer.kind === 'nats') {
    const connection = await connect({ servers: peer.address });
    return async () => (await connection.request(SUBJECT, request, { timeout: 10_000 })).data;
  }
  const client = new Client(peer.address, credentials.createInsecure());
  const asIs = (bytes: Buffer): Buffer => bytes;
  return () =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(METHOD, asIs, asIs, request, (error, answer) => {
        if (answer) resolve(answer);
        else reject(error ?? new Error('gRPC gave no answer'));
      });
    });
}

async function run({ seconds, inFlight }: Leg): Promise<LegResult> {
  const latenciesMs: number[] = [];
  const started = performance.now();
  const worker = async (): Promise<void> => {
    let answer: Uint8Array = new Uint8Array();
    for (let sent = started; sent < started + seconds * 1000;) {
      answer = await call();
      const answered = performance.now();
      latenciesMs.push(answered - sent);
      sent = answered;
    }
    checkAnswer(answer);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { calls: latenciesMs.length, seconds: (performance.now() - started) / 1000, latenciesMs };
}

/** Every peer gives the document back: one that failed would be quick. */
function checkAnswer(bytes: Uint8Array): void {
  const { header, docs } = decodeDataRequest(bytes);
  const [sent] = decodeDataRequest(request).docs;
  if (header.status || !sent || !docs[0] || Buffer.compare(sent, docs[0]) !== 0) {
    throw new Error(`the peer did not answer with the document: ${JSON.stringify(header)}`);
  }
}
