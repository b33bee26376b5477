import { randomUUID } from 'node:crypto';
import { Client, credentials } from '@grpc/grpc-js';
import { Document } from '../../../src/document/document.js';
import { decodeDataRequest, encodeDataRequest } from '../../../src/document/request.js';
import { cosine } from '../../support/vectors.js';
import { contents, type Content } from '../workload.js';

const UNARY = '/jina.JinaSingleDataRequestRPC/process_single_data';
const STREAM = '/jina.JinaRPC/Call';
/** Of the same content at any time: batches of different sizes differ in the last digits. */
const SAME = 0.99999;
const asIs = (bytes: Buffer): Buffer => bytes;

interface Sent {
  bytes: Buffer;
  ids: string[];
  contents: Content[];
}

/** Texts and images by several callers over gRPC, unary and streamed; every answer is checked. */
export class MixedLoad {
  /** Documents, each of which has an id of its own. */
  sent = 0;
  answered = 0;
  /** Of them, with a vector that is not that of the content. */
  wrong = 0;
  /** Answers beyond the first to a document, or to one that was not asked. */
  duplicated = 0;
  /** One for each document that has no embedding, or no answer at all. */
  failures: string[] = [];
  latenciesMs: number[] = [];
  readonly #open = new Set<string>();
  readonly #expected = new Map<Content, Float32Array>();
  readonly #clients: Client[] = [];
  readonly #mixes: Content[][];
  #callers: Promise<void>[] = [];
  #stopped = false;

  constructor(private readonly address: string) {
    const [texts, images] = [contents('text'), contents('image').slice(0, 24)];
    this.#mixes = [texts, images, [...texts.slice(0, 12), ...images.slice(0, 12)]];
  }

  /** What each content comes to, asked before anything is disturbed. */
  async learn(): Promise<void> {
    const client = this.#connect();
    for (const content of new Set(this.#mixes.flat())) {
      const request = this.#request([content]);
      const [doc] = decodeDataRequest(await unary(client, request.bytes)).docs;
      const embedding = doc && Document.fromBytes(doc).embedding;
      if (!embedding) throw new Error('a content has no embedding');
      this.#expected.set(content, embedding.toFloat32());
      this.#open.clear();
    }
    this.sent = 0;
  }

  start(): void {
    for (const mix of this.#mixes) {
      this.#callers.push(this.#callUnary(mix), this.#callStream(mix));
    }
  }

  /** What was measured since the last time. */
  takeLatencies(): number[] {
    return this.latenciesMs.splice(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#callers);
    for (const id of this.#open) this.failures.push(`document ${id} was not in the answer to its request`);
    for (const client of this.#clients) client.close();
  }

  async #callUnary(mix: readonly Content[]): Promise<void> {
    const client = this.#connect();
    for (let turn = 0; !this.#stopped; turn++) {
      const request = this.#request(pick(mix, turn));
      const started = performance.now();
      try {
        this.#check(request, await unary(client, request.bytes));
      } catch (error) {
        this.#fail(request, error);
      }
      this.latenciesMs.push(performance.now() - started);
    }
  }

  async #callStream(mix: readonly Content[]): Promise<void> {
    const client = this.#connect();
    const call = client.makeBidiStreamRequest(STREAM, asIs, asIs);
    const answers = call[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
    for (let turn = 0; !this.#stopped; turn++) {
      const request = this.#request(pick(mix, turn));
      const started = performance.now();
      try {
        call.write(request.bytes);
        const { value } = await answers.next();
        if (!value) throw new Error('the stream ended before its answer');
        this.#check(request, value);
      } catch (error) {
        // The stream is over, and so is this caller.
        this.#fail(request, error);
        return;
      }
      this.latenciesMs.push(performance.now() - started);
    }
    call.end();
    // An answer that nothing asked for would come here.
    const { value } = await answers.next();
    if (value) this.duplicated += 1;
  }

  #request(wanted: Content[]): Sent {
    const ids = wanted.map(() => randomUUID());
    for (const id of ids) this.#open.add(id);
    this.sent += ids.length;
    const docs = wanted.map((content, index) =>
      new Document({ id: ids[index] ?? '', ...('text' in content ? content : { blob: content.image }) }).toBytes(),
    );
    const bytes = encodeDataRequest({
      header: { requestId: randomUUID(), execEndpoint: '/encode' },
      parameters: { drop_image_content: true },
      routes: [],
      docs,
    });
    return { bytes, ids, contents: wanted };
  }

  /** None of its documents was answered. */
  #fail({ ids }: Sent, reason: unknown): void {
    for (const id of ids) {
      if (this.#open.delete(id)) this.failures.push(String(reason));
    }
  }

  #check({ ids, contents: asked }: Sent, answer: Buffer): void {
    const { header, docs } = decodeDataRequest(answer);
    docs.forEach((bytes, index) => {
      const { id, embedding } = Document.fromBytes(bytes);
      if (!this.#open.delete(id) || id !== ids[index]) {
        this.duplicated += 1;
        return;
      }
      this.answered += 1;
      const content = asked[index];
      const expected = content && this.#expected.get(content);
      if (!embedding) this.failures.push(header.status?.description ?? 'a document came back without an embedding');
      else if (!expected || cosine(embedding.toFloat32(), expected) <= SAME) this.wrong += 1;
    });
  }

  #connect(): Client {
    // Connections of their own, so that the callers are different ones.
    const client = new Client(this.address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    this.#clients.push(client);
    return client;
  }
}

/** One to eight contents, others each time. */
function pick(mix: readonly Content[], turn: number): Content[] {
  return Array.from({ length: 1 + (turn % 8) }, (_, i) => mix[(turn * 7 + i) % mix.length]).filter(
    (content) => content !== undefined,
  );
}

function unary(client: Client, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(UNARY, asIs, asIs, bytes, (error, answer) => {
      if (answer) resolve(answer);
      else reject(error ?? new Error('gRPC gave no answer'));
    });
  });
}
