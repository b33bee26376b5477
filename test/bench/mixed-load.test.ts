import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { test } from 'node:test';
import {
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
} from '@grpc/grpc-js';
import { Document } from '../../src/document/document.js';
import { NdArray } from '../../src/document/ndarray.js';
import { decodeDataRequest, encodeDataRequest } from '../../src/document/request.js';
import { MixedLoad } from './endurance/mixed-load.js';

/** How a server goes wrong: by what it does to the documents of an answer. */
type Fault = (docs: Document[]) => Document[];

const asIs = (bytes: Buffer): Buffer => bytes;
const method = (path: string, streams: boolean) => ({
  ...{ path, requestStream: streams, responseStream: streams },
  ...{ requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs },
});

/** A server that embeds contents by their hash, until `fault` is set. */
class FaultyServer implements AsyncDisposable {
  fault: Fault = (docs) => docs;
  readonly #server = new Server();

  async start(): Promise<string> {
    this.#server.addService(
      {
        unary: method('/jina.JinaSingleDataRequestRPC/process_single_data', false),
        stream: method('/jina.JinaRPC/Call', true),
      },
      {
        unary: ({ request }: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) =>
          done(null, this.#answer(request)),
        stream: (call: ServerDuplexStream<Buffer, Buffer>) =>
          call.on('data', (request: Buffer) => call.write(this.#answer(request))).on('end', () => call.end()),
      },
    );
    const bind = promisify(this.#server.bindAsync.bind(this.#server));
    return `127.0.0.1:${await bind('127.0.0.1:0', ServerCredentials.createInsecure())}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    return Promise.resolve();
  }

  #answer(bytes: Buffer): Buffer {
    const request = decodeDataRequest(bytes);
    const docs = request.docs.map((one) => {
      const { id, text, blob } = Document.fromBytes(one);
      const hash = createHash('sha256')
        .update(text ?? blob ?? '')
        .digest();
      return new Document({ id, embedding: NdArray.fromFloat32(Float32Array.from(hash)) });
    });
    return encodeDataRequest({ ...request, docs: this.fault(docs).map((doc) => doc.toBytes()) });
  }
}

const faults: Record<string, Fault> = {
  nothing: (docs) => docs,
  failed: (docs) => docs.map(({ id }) => new Document({ id })),
  lost: (docs) => docs.slice(1),
  duplicated: (docs) => [...docs, ...docs.slice(0, 1)],
  swapped: (docs) => [...docs].reverse(),
  wrong: (docs) =>
    docs.map(({ id }) => new Document({ id, embedding: NdArray.fromFloat32(new Float32Array(32).fill(1)) })),
};

for (const [name, fault] of Object.entries(faults)) {
  test(`the load of the fault benchmark, given answers of which ${name} is wrong, tells`, async () => {
    await using server = new FaultyServer();
    const load = new MixedLoad(await server.start());
    await load.learn();
    server.fault = fault;
    load.start();
    while (load.sent < 200) await new Promise(setImmediate);
    await load.stop();
    const found = { failed: load.failures.length, duplicated: load.duplicated, wrong: load.wrong };
    const seen = Object.entries(found).flatMap(([kind, count]) => (count > 0 ? [kind] : []));
    // What takes the place of another document is an answer too many there.
    const expected = { nothing: [], lost: ['failed', 'duplicated'], swapped: ['duplicated'] }[name] ?? [name];
    assert.deepEqual(seen, expected, JSON.stringify(found));
    if (name === 'failed') assert.equal(found.failed, load.sent);
    if (name === 'wrong') assert.equal(found.wrong, load.sent);
  });
}
