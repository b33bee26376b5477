import type { RawData, WebSocket } from 'ws';
import { Cancellation } from '../../src/cancel.js';
import { ClipflowError, ERRORS, toClipflowError } from '../../src/errors.js';
import type { ProtocolAnswer } from '../answer.js';
import { answerDataRequest, type AnswerOptions } from '../data-request.js';
import { OrderedAnswers } from '../ordered.js';
import type { ProtocolContext } from '../protocol-context.js';
import type { SocketCodec } from './codec.js';

/** Close codes of RFC 6455, section 7.4.1. */
const NORMAL = 1000;
const UNSUPPORTED_DATA = 1003;
const INVALID_DATA = 1007;
const INTERNAL_ERROR = 1011;

/** A close frame holds a reason of at most this many bytes. */
const MAX_REASON = 123;

/** A caller that answers no ping is closed on all the same. */
const PONG_LIMIT_MS = 1000;

/** Asks a session to close as soon as it has answered what it holds. */
export const DRAIN = 'clipflow:drain';

/**
 * One connection: requests are answered in their order; after the caller's end marker and the last answer the server
 * closes, because clip-client waits for that.
 */
export function serveSocket(
  context: ProtocolContext,
  from: Pick<AnswerOptions, 'caller' | 'peer'>,
  socket: WebSocket,
  codec: SocketCodec,
): void {
  const gone = new Cancellation();
  let anyFailed = false;
  const answers = new OrderedAnswers(context.flow.gateway.prefetch, async (answer: ProtocolAnswer) => {
    await write(socket, codec, answer);
    anyFailed ||= answer.response.header.status !== undefined;
  });

  const fail = (thrown: unknown): void => {
    const error = toClipflowError(thrown);
    gone.abort();
    socket.close(
      error.code === 'INVALID_REQUEST' ? INVALID_DATA : INTERNAL_ERROR,
      truncate(`${error.code}: ${error.message}`),
    );
  };
  const finish = async (): Promise<void> => {
    socket.removeAllListeners('message');
    await answers.end();
    socket.resume(); // To see the caller's answers to the ping and the close.
    if (anyFailed) await untilRead(socket);
    socket.close(NORMAL);
  };
  const onMessage = async (data: RawData, isBinary: boolean): Promise<void> => {
    if (isBinary !== codec.binary) {
      socket.close(UNSUPPORTED_DATA, `this subprotocol has ${codec.binary ? 'binary' : 'text'} frames`);
      return;
    }
    const request = codec.decode(data as Buffer);
    if (!request) return finish();
    socket.pause();
    await answers.push(
      answerDataRequest(context, request, { protocol: 'websocket', ...from, signal: gone, patient: true }),
    );
    socket.resume();
  };

  answers.failure.catch(fail);
  socket.on('message', (data, isBinary) => void onMessage(data, isBinary).catch(fail));
  socket.on('error', () => socket.terminate());
  socket.on('close', () => gone.abort());
  socket.on(DRAIN, () => void finish().catch(fail));
}

/**
 * Resolves when the caller has read what was sent: it answers a ping behind it. Jina's client forgets an error, and so
 * raises nothing, when the close of the connection reaches it together with the answer that tells of the error.
 */
async function untilRead(socket: WebSocket): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, PONG_LIMIT_MS);
    for (const event of ['pong', 'close']) {
      socket.once(event, () => {
        clearTimeout(timer);
        resolve();
      });
    }
    socket.ping();
  });
}

async function write(socket: WebSocket, codec: SocketCodec, { response, failure }: ProtocolAnswer): Promise<void> {
  // When the flow cannot answer, the connection ends with the reason, as clip-client expects.
  if (failure && ERRORS[failure.code].http >= 429) throw ClipflowError.fromData(failure);
  await new Promise<void>((resolve, reject) => {
    socket.send(codec.encode(response), { binary: codec.binary }, (error) => (error ? reject(error) : resolve()));
  });
}

/** At most `MAX_REASON` bytes of UTF-8, whole characters. */
function truncate(text: string): string {
  return Buffer.from(text)
    .subarray(0, MAX_REASON)
    .toString('utf8')
    .replace(/\ufffd+$/, '');
}
