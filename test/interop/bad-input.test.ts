import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { after, afterEach, before, describe, test } from 'node:test';
import { status as GrpcStatus } from '@grpc/grpc-js';
import { WebSocket } from 'ws';
import { decodeDataRequest } from '../../src/document/request.js';
import { FlowProcess, type PostAnswer } from '../support/flow-process.js';
import { grpcFrame, rawConnection, rawGrpcCall } from '../support/raw-connections.js';
import { within } from '../support/until.js';
import { END, GrpcClient, webSocketCall, type OpenStream } from '../support/wire-clients.js';
import { oracleDecode, oracleEncode, REQUEST } from '../unit/document/support.js';

const BODY_BYTES = 200_000;
const FLOW = `
jtype: Flow
with: { limits: { body_bytes: ${BODY_BYTES} } }
executors:
  - { name: clip_o, uses: CLIPEncoder, uses_with: { device: cpu } }
`;

const UNARY = '/jina.JinaSingleDataRequestRPC/process_single_data';
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

const GOOD = oracleEncode(REQUEST, {
  header: { request_id: 'good', exec_endpoint: '/encode' },
  data: { docs: { docs: [{ id: 'a', text: 'a red circle' }] } },
});
/** Field 1 says that it has 127 bytes, and 2 follow. */
const CORRUPT = Uint8Array.of(0x0a, 0x7f, 1, 2);
/** A sound request of which the one document, in turn, is cut short. */
const CORRUPT_DOCUMENT = Uint8Array.of(0x22, 6, 0x0a, 4, 0x0a, 2, 0x0a, 0x7f);

function isGood(answer: Uint8Array | undefined): boolean {
  const decoded = oracleDecode(REQUEST, answer ?? new Uint8Array());
  return JSON.stringify(decoded).includes('"embedding"') && !JSON.stringify(decoded).includes('"status"');
}

describe('bad input over each protocol: an error to that caller alone', () => {
  let flow: FlowProcess;
  let port: number;
  let pids: unknown[];
  let client: GrpcClient;
  let bystander: OpenStream;

  before(async () => {
    flow = await FlowProcess.start({ text: FLOW });
    port = Number(new URL(flow.url).port);
    client = new GrpcClient(port);
    bystander = client.open();
    pids = await processes();
  });
  after(async () => {
    bystander.end();
    client[Symbol.dispose]();
    assert.equal(await flow.stop(), 0);
  });

  /** Another caller's stream goes on, and the processes are the same. */
  afterEach(async () => {
    assert.ok(isGood(await bystander.ask(GOOD)));
    assert.deepEqual(await processes(), pids);
  });

  async function processes(): Promise<unknown[]> {
    const status = (await (await fetch(`${flow.url}/status`)).json()) as { jina: { pid: string } };
    return [status.jina.pid, ...(await flow.replicas('clip_o')).map(({ pid }) => pid)];
  }

  describe('gRPC', () => {
    for (const keepOpen of [false, true]) {
      test(`corrupt protobuf, ${keepOpen ? 'the caller waiting for its answer' : 'the caller done'}`, async () => {
        const { code, details, messages } = await client.stream([CORRUPT], { keepOpen });
        assert.equal(code, GrpcStatus.INVALID_ARGUMENT);
        assert.match(details, /INVALID_REQUEST: DataRequestProto: is cut short at byte/);
        assert.equal(messages.length, 0);
      });
    }
    test('corrupt protobuf behind a good request: that one is answered', async () => {
      const { code, messages } = await client.stream([GOOD, CORRUPT]);
      assert.equal(code, GrpcStatus.INVALID_ARGUMENT);
      assert.equal(messages.length, 1);
      assert.ok(isGood(messages[0]));
    });
    test('corrupt protobuf, unary', async () => {
      assert.equal((await client.unary(UNARY, CORRUPT)).code, GrpcStatus.INVALID_ARGUMENT);
    });
    test('a corrupt document in a sound request', async () => {
      const { code, messages } = await client.stream([CORRUPT_DOCUMENT, GOOD]);
      assert.equal(code, GrpcStatus.OK);
      const [failed = Buffer.alloc(0), good] = messages;
      assert.equal(decodeDataRequest(failed).header.status?.exception?.name, 'INVALID_DOCUMENT');
      assert.ok(isGood(good));
    });
    test('a message larger than the limit', async () => {
      const { code, details } = await client.stream([new Uint8Array(BODY_BYTES + 1)]);
      assert.equal(code, GrpcStatus.RESOURCE_EXHAUSTED, details);
    });
    test('an unknown method', async () => {
      const { code } = await client.stream([GOOD], { path: '/jina.JinaRPC/NoSuch' });
      assert.equal(code, GrpcStatus.UNIMPLEMENTED);
    });
    test('a message cut short by the end of the call is none, as grpc-js has it', async () => {
      assert.equal(await rawGrpcCall(port, grpcFrame(Buffer.from(GOOD), { length: GOOD.length + 50 })), '0');
    });
    test('a prefix that says too little', async () => {
      const status = await rawGrpcCall(port, grpcFrame(Buffer.from(GOOD), { length: 7 }));
      assert.notEqual(status, '0');
    });
    test('a prefix that says 4 GiB', async () => {
      const status = await rawGrpcCall(port, grpcFrame(Buffer.from(GOOD), { length: 0xffffffff }));
      assert.equal(status, String(GrpcStatus.RESOURCE_EXHAUSTED));
    });
    test('a compressed message that is none', async () => {
      const frame = grpcFrame(Buffer.from(GOOD), { compressed: 1 });
      assert.equal(await rawGrpcCall(port, frame, { 'grpc-encoding': 'gzip' }), String(GrpcStatus.INTERNAL));
      assert.equal(await rawGrpcCall(port, frame, { 'grpc-encoding': 'zip' }), String(GrpcStatus.UNIMPLEMENTED));
    });
    test('an unknown content type', async () => {
      assert.notEqual(await rawGrpcCall(port, grpcFrame(Buffer.from(GOOD)), { 'content-type': 'text/plain' }), '0');
    });
    test('a caller that goes away in the middle', async () => {
      const leaving = client.open();
      assert.ok(isGood(await leaving.ask(GOOD)));
      leaving.ask(GOOD).catch(() => {});
      leaving.cancel();
      assert.ok(isGood((await client.stream([GOOD])).messages[0]));
    });
  });

  describe('HTTP/2 and HTTP/1', () => {
    test('garbage behind the preface of HTTP/2', async () => {
      await rawConnection(port, Buffer.concat([PREFACE, Buffer.alloc(300, 0xff)]));
    });
    test('half a preface, then something else', async () => {
      await rawConnection(port, Buffer.from('PRI * HTTP/9.9\r\n\r\n'));
    });
    test('TLS where clear text is spoken', async () => {
      const answer = await rawConnection(port, Buffer.from('16030100e9010000e50303', 'hex'));
      assert.match(answer.toString(), /^(HTTP\/1\.1 400|$)/);
    });
    test('a request that stops in the middle of its body', async () => {
      const call = httpRequest({
        port,
        host: '127.0.0.1',
        method: 'POST',
        path: '/post',
        headers: { 'content-length': 900 },
      });
      call.on('error', () => {});
      call.write('{"data": [');
      await within(once(call, 'socket'), 'a connection');
      call.destroy();
    });
  });

  describe('WebSocket', () => {
    test('a text frame where the subprotocol is bytes, and the reverse', async () => {
      assert.equal((await webSocketCall(port, ['{}'])).code, 1003);
      assert.equal((await webSocketCall(port, [GOOD], { protocol: 'json' })).code, 1003);
    });
    test('corrupt protobuf', async () => {
      const { code, reason } = await webSocketCall(port, [CORRUPT]);
      assert.equal(code, 1007);
      assert.match(reason, /^INVALID_REQUEST: DataRequestProto: is cut short/);
    });
    test('corrupt protobuf behind a good request', async () => {
      assert.equal((await webSocketCall(port, [GOOD, CORRUPT, END])).code, 1007);
    });
    test('text that is no JSON', async () => {
      assert.equal((await webSocketCall(port, ['{"data'], { protocol: 'json' })).code, 1007);
    });
    test('a frame larger than the limit', async () => {
      assert.equal((await webSocketCall(port, [new Uint8Array(BODY_BYTES + 1)])).code, 1009);
    });
    test('no end marker, then the connection drops', async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`, 'bytes');
      await within(once(socket, 'open'), 'the WebSocket to open');
      for (let i = 0; i < 20; i++) socket.send(GOOD);
      await within(once(socket, 'message'), 'a first answer');
      socket.terminate();
    });
    test('nothing but the end marker', async () => {
      assert.deepEqual(await webSocketCall(port, [END]), { frames: [], code: 1000, reason: '' });
    });
    test('another path', async () => {
      await assert.rejects(webSocketCall(port, [], { path: '/nosuch' }), /404/);
    });
    test('JSON, as sound as it may be', async () => {
      const body = JSON.stringify({ data: [{ id: 'a', text: 'a red circle' }], exec_endpoint: '/encode' });
      const { frames, code } = await webSocketCall(port, [body, '{}'], { protocol: 'json' });
      assert.equal(code, 1000);
      const answer = JSON.parse(String(frames[0])) as PostAnswer;
      assert.equal(answer.data[0]?.embedding?.length, 512);
    });
  });
});
