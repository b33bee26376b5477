import { request } from 'node:http';
import { once } from 'node:events';
import { Client, credentials, Metadata, status as GrpcStatus, type StatusObject } from '@grpc/grpc-js';
import { WebSocket } from 'ws';
import { within } from './until.js';

const asIs = (bytes: Buffer): Buffer => bytes;

export interface GrpcEnd {
  messages: Buffer[];
  /** OK is 0. */
  code: GrpcStatus;
  details: string;
}

/** A call that stays open, asked one thing after the other. */
export interface OpenStream {
  ask(message: Uint8Array): Promise<Buffer>;
  end(): void;
  cancel(): void;
}

/** Bytes in, bytes out: gRPC without a schema. */
export class GrpcClient implements Disposable {
  readonly #client: Client;

  constructor(port: number) {
    const unlimited = { 'grpc.max_send_message_length': -1, 'grpc.max_receive_message_length': -1 };
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), unlimited);
  }

  /** Sends all, half-closes unless `keepOpen`, and gathers what comes until the server ends the call. */
  async stream(
    messages: readonly Uint8Array[],
    { keepOpen = false, path = '/jina.JinaRPC/Call' } = {},
  ): Promise<GrpcEnd> {
    const call = this.#client.makeBidiStreamRequest(path, asIs, asIs, new Metadata());
    const answers: Buffer[] = [];
    call.on('data', (answer: Buffer) => answers.push(answer));
    call.on('error', () => {}); // It is in the status too.
    for (const message of messages) call.write(Buffer.from(message));
    if (!keepOpen) call.end();
    const ended = new Promise<StatusObject>((resolve) => call.on('status', resolve));
    const { code, details } = await within(ended, 'the end of the call');
    return { messages: answers, code, details };
  }

  open(): OpenStream {
    const call = this.#client.makeBidiStreamRequest('/jina.JinaRPC/Call', asIs, asIs, new Metadata());
    call.on('error', () => {});
    return {
      ask: async (message) => {
        call.write(Buffer.from(message));
        const [answer] = (await within(once(call, 'data'), 'the answer on an open stream')) as [Buffer];
        return answer;
      },
      end: () => call.end(),
      cancel: () => call.cancel(),
    };
  }

  async unary(path: string, message: Uint8Array): Promise<GrpcEnd> {
    const call = new Promise<GrpcEnd>((resolve) => {
      this.#client.makeUnaryRequest(path, asIs, asIs, Buffer.from(message), (error, answer) => {
        if (error) resolve({ messages: [], code: error.code, details: error.details });
        else resolve({ messages: answer ? [answer] : [], code: GrpcStatus.OK, details: '' });
      });
    });
    return within(call, 'the answer to a unary call');
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

export interface SocketEnd {
  frames: Buffer[];
  code: number;
  reason: string;
}

/** Sends the frames (text where they are strings) and gathers what comes until the server closes. */
export async function webSocketCall(
  port: number,
  frames: readonly (Uint8Array | string)[],
  { path = '/', protocol = 'bytes' } = {},
): Promise<SocketEnd> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocol);
  const got: Buffer[] = [];
  socket.on('message', (data) => got.push(data as Buffer));
  await within(once(socket, 'open'), 'the WebSocket to open');
  for (const frame of frames) socket.send(frame);
  const [code, reason] = (await within(once(socket, 'close'), 'the server to close')) as [number, Buffer];
  return { frames: got, code, reason: reason.toString() };
}

/** The end marker of the WebSocket protocol. */
export const END = Uint8Array.of(0);

/** Sends a recorded HTTP request, its own headers and body, and returns status and JSON. */
export async function replayHttp(port: number, recorded: string): Promise<{ status: number; body: unknown }> {
  const end = recorded.search(/\r?\n\r?\n/);
  const [first = '', ...headers] = recorded.slice(0, end).split(/\r?\n/);
  const [method, path] = first.split(' ');
  const call = request({ port, host: '127.0.0.1', method, path, agent: false });
  for (const header of headers) {
    const [name = '', value = ''] = header.split(/: (.*)/);
    if (!['host', 'content-length'].includes(name.toLowerCase())) call.setHeader(name, value);
  }
  call.end(recorded.slice(end).trimStart());
  const [response] = (await within(once(call, 'response'), 'the HTTP answer')) as [
    AsyncIterable<Buffer> & { statusCode: number },
  ];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, body: JSON.parse(Buffer.concat(chunks).toString('utf8')) };
}
