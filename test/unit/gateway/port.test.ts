import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, describe, mock, test } from 'node:test';
import { sharePort } from '../../../gateway/port.js';
import { within } from '../../support/until.js';

/** HTTP/2's preface and a protocol of our own; both begin with a P, as do POST and PUT. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const OTHER = Buffer.from('PRICE');

let server: Server;
const connections: Socket[] = [];

/** Echoes, behind its name, what a connection says until its end. */
const echoAs = (name: string) => (socket: Socket) => {
  let said = '';
  socket.on('data', (chunk: Buffer) => (said += chunk.toString())).on('end', () => socket.end(`${name}:${said}`));
};

before(async () => {
  server = createServer((request, response) => {
    void text(request).then((body) => response.end(`${request.method} ${request.url} ${body}`));
  });
  sharePort(server, [
    { prefix: PREFACE, take: echoAs('h2') },
    { prefix: OTHER, take: echoAs('price') },
  ]);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  for (const socket of connections.splice(0)) socket.destroy();
});
after(() => server.close());

/** `answer` is all that came until the connection closed. */
async function open(): Promise<{ socket: Socket; answer: Promise<string> }> {
  const accepted = once(server, 'connection');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').setNoDelay();
  connections.push(socket);
  let said = '';
  socket.on('data', (chunk: Buffer) => (said += chunk.toString())).on('error', () => {});
  const answer = new Promise<string>((resolve) => socket.on('close', () => resolve(said)));
  await Promise.all([once(socket, 'connect'), accepted]);
  return { socket, answer };
}

/** The pieces one after the other, each in a packet of its own as far as the loopback allows. */
async function send(socket: Socket, pieces: Iterable<Buffer | string>): Promise<void> {
  for (const piece of pieces) {
    await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const bytesOf = (data: Buffer): Buffer[] => Array.from(data, (byte) => Buffer.of(byte));
const REQUEST = 'POST /post HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello';

describe('a connection that starts with a prefix', () => {
  test('goes to its protocol with every byte, however they arrive', async () => {
    const whole = Buffer.concat([PREFACE, Buffer.from('frames')]);
    for (const pieces of [[whole], bytesOf(whole), [PREFACE, 'frames'], [whole.subarray(0, 3), whole.subarray(3)]]) {
      const { socket, answer } = await open();
      await send(socket, pieces);
      socket.end();
      assert.equal(await within(answer, 'the answer'), `h2:${whole.toString()}`);
    }
  });

  test('is told from one whose prefix begins alike', async () => {
    const { socket, answer } = await open();
    await send(socket, bytesOf(Buffer.from('PRICE 5')));
    socket.end();
    assert.equal(await within(answer, 'the answer'), 'price:PRICE 5');
  });
});

describe('any other connection', () => {
  test('is HTTP/1, however its bytes arrive', async () => {
    for (const pieces of [
      [REQUEST],
      bytesOf(Buffer.from(REQUEST)),
      ['P', REQUEST.slice(1)],
      REQUEST.split('\n').map((line) => `${line}\n`),
    ]) {
      const { socket, answer } = await open();
      await send(socket, pieces);
      assert.match(await within(answer, 'the answer'), /^HTTP\/1\.1 200 OK\r\n[^]*POST \/post hello\n?/);
    }
  });

  test('keeps several requests on one connection', async () => {
    const { socket, answer } = await open();
    await send(socket, [
      'GET /1 HTTP/1.1\r\nhost: x\r\n\r\n',
      'GET /2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
    ]);
    const said = await within(answer, 'the answers');
    assert.match(said, /GET \/1 /);
    assert.match(said, /GET \/2 /);
  });

  test('that is neither is refused by HTTP/1', async () => {
    const { socket, answer } = await open();
    await send(socket, ['PRI sm\r\n\r\n']);
    assert.match(await within(answer, 'the answer'), /^HTTP\/1\.1 400 /);
  });
});

describe('a connection that does not say what it speaks', () => {
  test('is closed after 10 s of silence', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const { socket, answer } = await open();
      await send(socket, ['PRI']);
      // The server's timer starts anew when it has read: both are on this event loop, which the answer to this proves.
      const later = await open();
      await send(later.socket, [REQUEST]);
      await later.answer;
      mock.timers.tick(9_999);
      assert.equal(socket.destroyed, false);
      mock.timers.tick(1);
      assert.equal(await answer, '');
    } finally {
      mock.timers.reset();
    }
  });

  test('and ends is closed at once', async () => {
    for (const said of ['', 'PRI * HT']) {
      const { socket, answer } = await open();
      await send(socket, said === '' ? [] : [said]);
      socket.end();
      assert.equal(await within(answer, `the end of a connection that said "${said}"`, 2000), '');
    }
  });

  test('and breaks does no harm', async () => {
    const { socket } = await open();
    await send(socket, ['PRI']);
    socket.resetAndDestroy();
    const { socket: next, answer } = await open();
    await send(next, [REQUEST]);
    assert.match(await within(answer, 'the answer'), /200 OK/);
  });
});

test('without other protocols connections are HTTP/1 before they say anything', async () => {
  const plain = createServer((_request, response) => response.end('plain'));
  sharePort(plain, []);
  plain.listen(0, '127.0.0.1');
  await once(plain, 'listening');
  const response = await fetch(`http://127.0.0.1:${(plain.address() as AddressInfo).port}`);
  assert.equal(await response.text(), 'plain');
  plain.close();
  plain.closeAllConnections();
});
