import { Cancellation } from '../cancel.js';
import { ClipflowError, toClipflowError, type ErrorData } from '../errors.js';
import { JsonObjectSchema, type JsonObject } from '../json.js';
import { takeFirst } from '../list.js';
import { FRAME_HEAD, FrameType, cutChunks, frameHead, parseFrame, type Frame } from './frame.js';
import { decodeMessage, encodeMessage } from './message.js';
import type { CallOptions, Handler, Message } from './transport.js';

/** Carries frames in order, one way; what is lost, is lost until the channel on top is closed. */
export interface Link {
  /** Bytes of the longest frame, head included. */
  readonly maxFrame: number;
  send(chunks: readonly Uint8Array[]): void;
}

export interface ChannelOptions {
  link: Link;
  /** Answers the other side's calls; without one they fail. */
  handler?: Handler;
  onInfo?: (info: JsonObject) => void;
  /** The other side speaks another version of the envelope; the channel is closed with the error. */
  onForeign?: (error: ClipflowError) => void;
  /** The other side has been silent for too long. */
  onDead?: () => void;
}

/** Payload bytes that may be on their way unacknowledged: bounds what a link has to buffer for a slow receiver. */
const WINDOW = 8 * 1024 * 1024;
const PING_INTERVAL_MS = 500;
/** Pings in a row without a sign of life: counted, not timed, so that a stall of this side accuses nobody. */
const MAX_SILENT_PINGS = 20;

interface Call {
  id: number;
  resolve: (message: Message) => void;
  reject: (error: ClipflowError) => void;
  release: () => void;
}

interface Outgoing {
  type: FrameType;
  id: number;
  pieces: Generator<{ piece: Uint8Array[]; bytes: number }>;
  left: number;
}

/** Calls and answers in both directions over one link, many at a time. */
export class Channel {
  #calls: Call[] = [];
  #handling: { id: number; cancellation: Cancellation }[] = [];
  #incoming = new Map<string, { pieces: Uint8Array[]; bytes: number }>();
  #outgoing: Outgoing[] = [];
  #inFlight = 0;
  #uncredited = 0;
  #lastId = 0;
  #heard = true;
  #silentPings = 0;
  #heartbeat: NodeJS.Timeout;
  #closed: ClipflowError | undefined;
  #idle: (() => void)[] = [];

  constructor(private readonly options: ChannelOptions) {
    this.#heartbeat = setInterval(() => this.#beat(), PING_INTERVAL_MS).unref();
  }

  call(message: Message, { signal, timeoutMs }: CallOptions = {}): Promise<Message> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (signal?.aborted)
      return Promise.reject(new ClipflowError('CANCELLED', 'the call was cancelled before it began'));
    return new Promise((resolve, reject) => {
      const id = (this.#lastId = (this.#lastId + 1) >>> 0);
      const giveUp = (error: ClipflowError): void => {
        this.#settle(id)?.reject(error);
        this.#dropOutgoing(id);
        this.#control(FrameType.cancel, id);
      };
      const onAbort = (): void => giveUp(new ClipflowError('CANCELLED', 'the call was cancelled'));
      signal?.addEventListener('abort', onAbort, { once: true });
      const timer =
        timeoutMs === undefined
          ? undefined
          : setTimeout(
              () => giveUp(new ClipflowError('DEADLINE_EXCEEDED', `no answer within ${Math.round(timeoutMs)} ms`)),
              timeoutMs,
            );
      const release = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      this.#calls.push({ id, resolve, reject, release });
      this.#enqueue(FrameType.request, id, message);
    });
  }

  sendInfo(info: JsonObject): void {
    this.#control(FrameType.info, 0, Buffer.from(JSON.stringify(info)));
  }

  receive(bytes: Uint8Array): void {
    this.#heard = true;
    const frame = this.#parse(bytes);
    if (!frame) return;
    switch (frame.type) {
      case FrameType.request:
      case FrameType.reply:
      case FrameType.error:
        this.#credit(frame.payload.byteLength);
        this.#assemble(frame);
        return;
      case FrameType.cancel:
        this.#incoming.delete(`${FrameType.request}:${frame.id}`);
        this.#handling.find(({ id }) => id === frame.id)?.cancellation.abort();
        return;
      case FrameType.ping:
        this.#control(FrameType.pong, 0);
        return;
      case FrameType.pong:
        return;
      case FrameType.credit:
        if (frame.payload.byteLength !== 4) return;
        this.#inFlight -= Buffer.from(frame.payload).readUInt32LE(0);
        this.#pump();
        return;
      case FrameType.info: {
        const info = parseInfo(frame.payload);
        if (info) this.options.onInfo?.(info);
        return;
      }
    }
  }

  /** Resolves when no call of the other side is in hand and every answer has been given to the link. */
  async idle(): Promise<void> {
    if (this.#isIdle()) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Rejects the calls under way with `reason` and aborts what is being handled. */
  close(reason: ClipflowError): void {
    if (this.#closed) return;
    this.#closed = reason;
    clearInterval(this.#heartbeat);
    for (const { release, reject } of this.#calls.splice(0)) {
      release();
      reject(reason);
    }
    for (const { cancellation } of this.#handling.splice(0)) cancellation.abort();
    this.#incoming.clear();
    this.#outgoing = [];
    this.#checkIdle();
  }

  #parse(bytes: Uint8Array): Frame | undefined {
    if (this.#closed) return undefined;
    try {
      return parseFrame(bytes);
    } catch (thrown) {
      const error = toClipflowError(thrown);
      this.close(error);
      this.options.onForeign?.(error);
      return undefined;
    }
  }

  #beat(): void {
    this.#silentPings = this.#heard ? 0 : this.#silentPings + 1;
    this.#heard = false;
    if (this.#silentPings >= MAX_SILENT_PINGS) this.options.onDead?.();
    else this.#control(FrameType.ping, 0);
  }

  #assemble(frame: Frame): void {
    const key = `${frame.type}:${frame.id}`;
    let bytes = frame.payload;
    const begun = this.#incoming.get(key);
    if (begun || !frame.last) {
      const message = begun ?? { pieces: [], bytes: 0 };
      message.pieces.push(bytes);
      message.bytes += bytes.byteLength;
      if (!frame.last) {
        this.#incoming.set(key, message);
        return;
      }
      this.#incoming.delete(key);
      bytes = Buffer.concat(message.pieces, message.bytes);
    }
    this.#deliver(frame, bytes);
  }

  #deliver(frame: Frame, bytes: Uint8Array): void {
    if (frame.type === FrameType.request) {
      void this.#handle(frame.id, bytes);
      return;
    }
    const call = this.#settle(frame.id);
    if (!call) return; // Given up meanwhile.
    try {
      const message = decodeMessage(bytes);
      if (frame.type === FrameType.error) call.reject(ClipflowError.fromData(message.header as unknown as ErrorData));
      else call.resolve(message);
    } catch (error) {
      call.reject(toClipflowError(error));
    }
  }

  async #handle(id: number, bytes: Uint8Array): Promise<void> {
    const cancellation = new Cancellation();
    this.#handling.push({ id, cancellation });
    let type: FrameType = FrameType.reply;
    let answer: Message;
    try {
      const { handler } = this.options;
      if (!handler) throw new ClipflowError('INTERNAL', 'this side of the channel takes no calls');
      answer = await handler(decodeMessage(bytes), cancellation);
    } catch (error) {
      type = FrameType.error;
      answer = { header: { ...toClipflowError(error).toJSON() }, parts: [] };
    }
    // Queued before the call counts as done, so that an idle channel has nothing left to say.
    if (!cancellation.aborted) this.#enqueue(type, id, answer);
    takeFirst(this.#handling, (one) => one.cancellation === cancellation);
    this.#checkIdle();
  }

  #settle(id: number): Call | undefined {
    const call = takeFirst(this.#calls, (one) => one.id === id);
    call?.release();
    return call;
  }

  #enqueue(type: FrameType, id: number, message: Message): void {
    if (this.#closed) return;
    const chunks = encodeMessage(message);
    const left = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    this.#outgoing.push({ type, id, left, pieces: cutChunks(chunks, this.options.link.maxFrame - FRAME_HEAD) });
    this.#pump();
  }

  /** One frame of each waiting message in turn, so that a long message does not hold up short ones. */
  #pump(): void {
    while (this.#inFlight < WINDOW) {
      const message = this.#outgoing.shift();
      if (!message) break;
      const next = message.pieces.next();
      if (next.done) continue;
      const { piece, bytes } = next.value;
      message.left -= bytes;
      this.#inFlight += bytes;
      this.options.link.send([frameHead(message.type, message.id, message.left === 0), ...piece]);
      if (message.left > 0) this.#outgoing.push(message);
    }
    this.#checkIdle();
  }

  #dropOutgoing(id: number): void {
    this.#outgoing = this.#outgoing.filter((message) => message.type !== FrameType.request || message.id !== id);
    this.#checkIdle();
  }

  #credit(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited < WINDOW / 4) return;
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32LE(this.#uncredited, 0);
    this.#uncredited = 0;
    this.#control(FrameType.credit, 0, payload);
  }

  #control(type: FrameType, id: number, payload?: Uint8Array): void {
    if (this.#closed) return;
    this.options.link.send(payload ? [frameHead(type, id, true), payload] : [frameHead(type, id, true)]);
  }

  #isIdle(): boolean {
    return this.#handling.length === 0 && this.#outgoing.length === 0;
  }

  #checkIdle(): void {
    if (!this.#isIdle()) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

function parseInfo(payload: Uint8Array): JsonObject | undefined {
  try {
    return JsonObjectSchema.parse(JSON.parse(Buffer.from(payload).toString()));
  } catch {
    return undefined;
  }
}
