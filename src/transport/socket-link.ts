import type { Socket } from 'node:net';
import type { Link } from './channel.js';

/** Longest frame on a local socket: small enough that frames of several messages take turns. */
const MAX_FRAME = 256 * 1024;
/** Up to here to copy the chunks of a frame into one costs less than to write each of them. */
const MAX_COPIED = 16 * 1024;

/** Frames over a byte stream, each behind its length (u32, little-endian). */
export class SocketLink implements Link {
  readonly maxFrame = MAX_FRAME;
  #received: Buffer[] = [];
  #length = 0;

  constructor(
    private readonly socket: Socket,
    onFrame: (frame: Uint8Array) => void,
  ) {
    socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk);
      this.#length += chunk.length;
      this.#cut(onFrame);
    });
  }

  send(chunks: readonly Uint8Array[]): void {
    if (!this.socket.writable) return;
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(bytes, 0);
    const frame = [length, ...chunks];
    this.socket.cork();
    for (const chunk of bytes <= MAX_COPIED ? [Buffer.concat(frame, 4 + bytes)] : frame) this.socket.write(chunk);
    // Frames of one turn of the event loop leave in one system call.
    process.nextTick(() => this.socket.uncork());
  }

  #cut(onFrame: (frame: Uint8Array) => void): void {
    while (this.#length >= 4) {
      const length = this.#nextLength();
      if (length > MAX_FRAME) {
        this.socket.destroy(new Error('the other side does not speak frames'));
        return;
      }
      if (length > this.#length - 4) return;
      const buffer = this.#join();
      const rest = buffer.subarray(4 + length);
      this.#received = rest.length > 0 ? [rest] : [];
      this.#length = rest.length;
      onFrame(buffer.subarray(4, 4 + length));
    }
  }

  /** Length of the first frame; its chunks are joined only once all are there. */
  #nextLength(): number {
    const [first] = this.#received;
    return (first && first.length >= 4 ? first : this.#join()).readUInt32LE(0);
  }

  #join(): Buffer {
    const joined = this.#received.length === 1 ? this.#received[0] : undefined;
    if (joined) return joined;
    const all = Buffer.concat(this.#received, this.#length);
    this.#received = [all];
    return all;
  }
}
