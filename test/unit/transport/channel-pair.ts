import { setImmediate as turn } from 'node:timers/promises';
import { Channel } from '../../../src/transport/channel.js';
import { parseFrame, FRAME_HEAD, FrameType } from '../../../src/transport/frame.js';
import type { Handler, Message } from '../../../src/transport/transport.js';
import type { JsonObject } from '../../../src/json.js';

const PAYLOAD_TYPES: readonly FrameType[] = [FrameType.request, FrameType.reply, FrameType.error];

/** One direction of a slow link: frames lie in it until the test delivers them. */
export class Wire {
  frames: Buffer[] = [];
  /** Payload of messages, in bytes, of what lies in it. */
  get payload(): number {
    return this.frames.reduce((sum, frame) => sum + (this.isPayload(frame) ? frame.length - FRAME_HEAD : 0), 0);
  }

  isPayload(frame: Buffer): boolean {
    const type = parseFrame(frame)?.type;
    return type !== undefined && PAYLOAD_TYPES.includes(type);
  }
}

export interface PairOptions {
  /** Bytes of the longest frame. */
  maxFrame?: number;
  /** Answers the calls of `a`; by default with what came. */
  handler?: Handler;
  onInfo?: (info: JsonObject) => void;
  onDead?: () => void;
}

/** Two channels over a link that moves when the test says so: `a` calls, `b` answers. */
export class ChannelPair {
  readonly toA = new Wire();
  readonly toB = new Wire();
  readonly a: Channel;
  readonly b: Channel;

  constructor({ maxFrame = 64 * 1024, handler = async (message) => message, onInfo, onDead }: PairOptions = {}) {
    const linkTo = (wire: Wire) => ({
      maxFrame,
      send: (chunks: readonly Uint8Array[]) => void wire.frames.push(Buffer.concat(chunks)),
    });
    this.a = new Channel({
      link: linkTo(this.toB),
      handler: async (message) => message,
      ...(onDead ? { onDead } : {}),
    });
    this.b = new Channel({ link: linkTo(this.toA), handler, ...(onInfo ? { onInfo } : {}) });
  }

  /** Hands the next frame over; false when there is none. */
  deliverTo(side: 'a' | 'b'): boolean {
    const frame = (side === 'a' ? this.toA : this.toB).frames.shift();
    if (frame) this[side].receive(frame);
    return frame !== undefined;
  }

  /** Hands over all frames, and those that they cause, until nothing moves any more. */
  async settle(): Promise<void> {
    for (;;) {
      let moved = false;
      while (this.deliverTo('b') || this.deliverTo('a')) moved = true;
      await turn();
      if (!moved && this.toA.frames.length + this.toB.frames.length === 0) return;
    }
  }
}

export function messageOf(bytes: number, header: JsonObject = {}): Message {
  return { header, parts: [new Uint8Array(bytes).fill(7)] };
}
