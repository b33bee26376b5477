import { Document } from '../../../src/document/document.js';
import { NdArray } from '../../../src/document/ndarray.js';
import { decodeDataRequest, encodeDataRequest } from '../../../src/document/request.js';
import { ENDPOINTS, type Models } from './contender.js';
import { openBare } from './contenders/bare.js';
import { serveUnary } from '../serve-unary.js';
import type { Content } from '../workload.js';

/**
 * The least that a server can be, in a process of its own: the bare loop's preparation and session in the very handler of
 * a gRPC method, one document a call. No queue, no batches, no replicas, and it is deaf while it computes.
 * Arguments: its `Models` as JSON, threads.
 */
const [models = '', threads] = process.argv.slice(2);
const bare = await openBare(JSON.parse(models) as Models, Number(threads));

async function embed(bytes: Buffer): Promise<Buffer> {
  const request = decodeDataRequest(bytes);
  const [document] = request.docs.map((doc) => Document.fromBytes(doc));
  if (!document) throw new Error('a request without a document');
  const model = request.header.execEndpoint === ENDPOINTS['warm-up'] ? 'warm-up' : 'measured';
  const first = await bare.prepare([contentOf(document)], model)();
  document.blob = undefined;
  document.embedding = NdArray.fromFloat32(Float32Array.from(first()));
  return encodeDataRequest({ ...request, docs: [document.toBytes()] });
}

function contentOf({ text, blob }: Document): Content {
  return blob ? { image: blob } : { text: text ?? '' };
}

serveUnary(({ request }, done) => {
  embed(request).then(
    (answer) => done(null, answer),
    (error: unknown) => done(error as Error),
  );
});
process.on('disconnect', () => process.exit(0));
