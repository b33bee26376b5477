import { ClipflowError } from '../errors.js';

/**
 * Version of the envelope: frames, messages, and what replicas tell of themselves. Within a version things are only
 * added, and a side passes over what it does not know: types of frames, flags, keys of JSON. What an older side would
 * misread takes the next version, which has to be spoken beside this one for as long as releases meet in an update.
 */
export const ENVELOPE_VERSION = 1;

/** The other side speaks none of our versions. */
export function foreignEnvelope(who: string, versions: readonly number[]): ClipflowError {
  return new ClipflowError(
    'TRANSPORT_FAILED',
    `${who} speaks version ${versions.join(' or ')} of the transport's envelope, this side speaks ${ENVELOPE_VERSION}: update one of them`,
  );
}

/**
 * A frame is the unit that a link carries: 8 bytes of head (version u8, type u8, flags u16, call id u32, little-endian)
 * and a piece of payload. A message longer than a link's frame is cut into several frames of the same id.
 */
export const FRAME_HEAD = 8;

export const FrameType = {
  /** A piece of a call. */
  request: 1,
  /** A piece of the answer to a call. */
  reply: 2,
  /** The call failed: an ErrorData as the message's header. */
  error: 3,
  /** The caller gave the call up. */
  cancel: 4,
  ping: 5,
  pong: 6,
  /** The receiver has taken so many bytes (u32) of payload: the sender may go on. */
  credit: 7,
  /** What a replica says of itself (embedded transport only; on NATS this goes to every gateway at once). */
  info: 8,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export interface Frame {
  type: FrameType;
  id: number;
  last: boolean;
  payload: Uint8Array;
}

const FLAG_LAST = 1;

export function frameHead(type: FrameType, id: number, last: boolean): Buffer {
  const head = Buffer.allocUnsafe(FRAME_HEAD);
  head.writeUInt8(ENVELOPE_VERSION, 0);
  head.writeUInt8(type, 1);
  head.writeUInt16LE(last ? FLAG_LAST : 0, 2);
  head.writeUInt32LE(id, 4);
  return head;
}

/**
 * Undefined when the bytes are too few for a frame.
 * @throws TRANSPORT_FAILED when it is one of another version
 */
export function parseFrame(bytes: Uint8Array): Frame | undefined {
  if (bytes.byteLength < FRAME_HEAD) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint8(0);
  if (version !== ENVELOPE_VERSION) throw foreignEnvelope('the other side', [version]);
  return {
    type: view.getUint8(1) as FrameType,
    last: (view.getUint16(2, true) & FLAG_LAST) !== 0,
    id: view.getUint32(4, true),
    payload: bytes.subarray(FRAME_HEAD),
  };
}

/** Cuts chunks into pieces of at most `size` bytes in all; a piece is a list of views, nothing is copied. */
export function* cutChunks(
  chunks: readonly Uint8Array[],
  size: number,
): Generator<{ piece: Uint8Array[]; bytes: number }> {
  let piece: Uint8Array[] = [];
  let bytes = 0;
  for (const chunk of chunks) {
    let offset = 0;
    while (offset < chunk.byteLength) {
      const take = Math.min(size - bytes, chunk.byteLength - offset);
      piece.push(chunk.subarray(offset, offset + take));
      bytes += take;
      offset += take;
      if (bytes === size) {
        yield { piece, bytes };
        piece = [];
        bytes = 0;
      }
    }
  }
  if (bytes > 0) yield { piece, bytes };
}
