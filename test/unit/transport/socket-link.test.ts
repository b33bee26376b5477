import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { SocketLink } from '../../../src/transport/socket-link.js';

/** A socket whose chunks the test chooses; what is written to it is kept. */
class FakeSocket extends Duplex {
  readonly written: Buffer[] = [];
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written.push(chunk);
    done();
  }

  arrive(chunk: Uint8Array): void {
    this.emit('data', Buffer.from(chunk));
  }
}

function linkTo(socket: FakeSocket): { link: SocketLink; frames: Buffer[] } {
  const frames: Buffer[] = [];
  const link = new SocketLink(socket as unknown as Socket, (frame) => frames.push(Buffer.from(frame)));
  return { link, frames };
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

const framesArbitrary = fc.array(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  { maxLength: 20 },
);

test('frames arrive whole and in order, however the bytes are cut', () => {
  fc.assert(
    fc.property(framesArbitrary, fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (sent, cuts) => {
      const stream = Buffer.concat(sent.flatMap((frame) => [u32(frame.length), frame]));
      const socket = new FakeSocket();
      const { frames } = linkTo(socket);
      for (let at = 0, i = 0; at < stream.length; i++) {
        const take = cuts[i % cuts.length] ?? 1;
        socket.arrive(stream.subarray(at, at + take));
        at += take;
      }
      assert.deepEqual(frames, sent);
    }),
  );
});

test('a frame is seen as soon as its last byte is there', () => {
  const socket = new FakeSocket();
  const { frames } = linkTo(socket);
  for (const byte of Buffer.concat([u32(2), Buffer.from('ab'), u32(0)])) {
    const before = frames.length;
    socket.arrive(Buffer.of(byte));
    if (byte === 'b'.charCodeAt(0)) assert.equal(frames.length, before + 1);
  }
  assert.deepEqual(frames, [Buffer.from('ab'), Buffer.alloc(0)]);
});

test('frames are written behind their length', async () => {
  const socket = new FakeSocket();
  const { link } = linkTo(socket);
  link.send([Buffer.from('ab'), Buffer.from('c')]);
  link.send([]);
  await turn();
  assert.deepEqual(Buffer.concat(socket.written), Buffer.concat([u32(3), Buffer.from('abc'), u32(0)]));
});

test('what is sent after the socket has ended is dropped', async () => {
  const socket = new FakeSocket();
  const { link } = linkTo(socket);
  socket.end();
  link.send([Buffer.from('late')]);
  await turn();
  assert.equal(socket.written.length, 0);
});

test('the longest frame passes; a length beyond it closes the socket and nothing is kept for it', () => {
  const socket = new FakeSocket();
  const { link, frames } = linkTo(socket);
  socket.arrive(Buffer.concat([u32(link.maxFrame), Buffer.alloc(link.maxFrame)]));
  assert.equal(frames.length, 1);
  assert.equal(socket.destroyed, false);
  socket.on('error', () => {});
  socket.arrive(u32(link.maxFrame + 1));
  assert.equal(socket.destroyed, true);
  assert.equal(frames.length, 1);
});

test('a protocol that is not ours (an HTTP request, say) closes the socket', () => {
  const socket = new FakeSocket();
  socket.on('error', () => {});
  const { frames } = linkTo(socket);
  socket.arrive(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
  assert.equal(socket.destroyed, true);
  assert.equal(frames.length, 0);
});

test('an impossible length behind a good frame is noticed too', () => {
  const socket = new FakeSocket();
  socket.on('error', () => {});
  const { frames } = linkTo(socket);
  socket.arrive(Buffer.concat([u32(2), Buffer.from('ok'), u32(2 ** 32 - 1)]));
  assert.deepEqual(frames, [Buffer.from('ok')]);
  assert.equal(socket.destroyed, true);
});
