import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { AddressInfo } from 'node:net';
import { FlowProcess } from '../support/flow-process.js';
import { sampleDocument } from '../support/samples.js';

const FLOW = `
jtype: Flow
with:
  limits: { body_bytes: 1000000 }
executors:
  - name: clip
    uses: CLIPEncoder
    uses_with: { device: cpu }
`;

/** The first bytes of a PNG of so many pixels: signature and IHDR with its checksum. */
function pngHeader(width: number, height: number): Buffer {
  const ihdr = Buffer.alloc(17);
  ihdr.write('IHDR', 0, 'latin1');
  ihdr.writeUInt32BE(width, 4);
  ihdr.writeUInt32BE(height, 8);
  ihdr.set([8, 2, 0, 0, 0], 12);
  const chunk = Buffer.alloc(25);
  chunk.writeUInt32BE(13, 0);
  ihdr.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(ihdr), 21);
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk]);
}

/** CRC-32 as in the PNG specification, annex D. */
function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

describe('bad input', () => {
  let flow: FlowProcess;
  let pids: number[];

  before(async () => {
    flow = await FlowProcess.start({ text: FLOW });
    pids = (await flow.replicas('clip')).map(({ pid }) => pid);
  });
  after(async () => {
    await assertWell();
    assert.equal(await flow.stop(), 0);
  });

  /** Each test leaves the same processes behind, and they answer. */
  beforeEach(() => assertWell());
  async function assertWell(): Promise<void> {
    const { status, body } = await flow.post({ data: [{ text: 'a red circle' }], exec_endpoint: '/encode' });
    assert.equal(status, 200);
    assert.equal(body.data[0]?.embedding?.length, 512);
    assert.deepEqual(
      (await flow.replicas('clip')).map(({ pid }) => pid),
      pids,
    );
  }

  /** One bad document between two good ones: the good ones are answered, the status names the bad one. */
  async function assertDocumentFails(bad: object, message: RegExp): Promise<void> {
    const data = [{ id: 'before', text: 'a red circle' }, { id: 'bad', ...bad }, sampleDocument('000.jpg')];
    const { status, body } = await flow.post({ data, exec_endpoint: '/encode' });
    assert.equal(status, 200);
    assert.equal(body.header.status?.code, 1);
    assert.match(body.header.status?.description ?? '', message);
    assert.match(body.header.status?.description ?? '', /document 1 \(id bad\)/);
    assert.deepEqual(
      body.data.map(({ id, embedding }) => [id, embedding?.length ?? 0]),
      [
        ['before', 512],
        ['bad', 0],
        ['000.jpg', 512],
      ],
    );
    assert.doesNotMatch(JSON.stringify(body.header), /\bat .*\.js/);
  }

  async function assertRefused(body: unknown, wantedStatus: number, message: RegExp): Promise<void> {
    const { status, body: answer } = await flow.post(body);
    assert.equal(status, wantedStatus);
    assert.match(JSON.stringify(answer), message);
    assert.doesNotMatch(JSON.stringify(answer), /\bat .*\.js/);
  }

  test('broken JSON', () => assertRefused('{"data": [', 422, /"loc":\["body",\d+\].*value_error\.jsondecode/));
  test('no body', () => assertRefused('', 422, /field required/));
  test('JSON of a wrong shape', () => assertRefused([1], 422, /"loc":\["body"\]/));
  test('data that is no list', () => assertRefused({ data: 5 }, 422, /value is not a valid list/));
  test('text that is a number', () =>
    assertRefused(
      { data: [{ text: 'x' }, { text: 5 }] },
      422,
      /"loc":\["body","data",1,"text"\],"msg":"str type expected"/,
    ));
  test('blob that is no base64', () => assertRefused({ data: [{ blob: '***' }] }, 422, /"data",0,"blob"/));
  test('a body over the limit', () =>
    assertRefused({ data: [{ text: 'x'.repeat(1_000_001) }] }, 413, /PAYLOAD_TOO_LARGE.*limits\.body_bytes/));
  test('parameters of a wrong type', () =>
    assertRefused(
      { data: [{ text: 'x' }], parameters: { minibatch_size: 'many' } },
      422,
      /parameters\.minibatch_size/,
    ));
  test('access paths that mean nothing', () =>
    assertRefused({ data: [{ text: 'x' }], parameters: { access_paths: '@z' } }, 422, /access_paths/));
  test('target_executor that is no regular expression', () =>
    assertRefused({ data: [{ text: 'x' }], target_executor: '(' }, 422, /target_executor/));

  test('a truncated JPEG', () => {
    const { blob } = sampleDocument('000.jpg');
    return assertDocumentFails(
      { blob: Buffer.from(blob, 'base64').subarray(0, 3000).toString('base64') },
      /INVALID_DOCUMENT/,
    );
  });
  test('a PNG header of 50,000 x 50,000 pixels', () =>
    assertDocumentFails(
      { blob: pngHeader(50_000, 50_000).toString('base64') },
      /PAYLOAD_TOO_LARGE.*50000 x 50000.*178956970/,
    ));
  test('a blob of 0 bytes', () => assertDocumentFails({ blob: '' }, /INVALID_DOCUMENT.*zero bytes/));
  test('a blob that is no image', () =>
    assertDocumentFails({ blob: Buffer.from('hello world').toString('base64') }, /INVALID_DOCUMENT/));
  test('an invalid data URI', () => assertDocumentFails({ uri: 'data:image/png;base64,***' }, /INVALID_DOCUMENT/));
  test('a file: uri', () => assertDocumentFails({ uri: 'file:///etc/passwd' }, /URI_FORBIDDEN.*CLIPFLOW_URI_ALLOW/));
  test('a path as uri', () => assertDocumentFails({ uri: '/etc/passwd' }, /URI_FORBIDDEN/));

  test('a uri at a private address is not even connected to', async () => {
    let connections = 0;
    const server = createServer().listen(0, '127.0.0.1');
    server.on('connection', () => (connections += 1));
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await assertDocumentFails({ uri: `http://127.0.0.1:${port}/x.jpg` }, /URI_FORBIDDEN.*with\.uri\.allow/);
    await assertDocumentFails({ uri: `http://localhost:${port}/x.jpg` }, /URI_FORBIDDEN/);
    await assertDocumentFails({ uri: `http://[::ffff:127.0.0.1]:${port}/x.jpg` }, /URI_FORBIDDEN/);
    assert.equal(connections, 0);
    server.close();
  });

  test('a document without content comes back as it was, without an embedding', async () => {
    const { status, body } = await flow.post({
      data: [
        { id: 'none', tags: { a: 1 } },
        { id: 'empty', text: '' },
      ],
    });
    assert.equal(status, 200);
    assert.equal(body.header.status, null);
    assert.deepEqual(
      body.data.map(({ id, embedding }) => [id, embedding]),
      [
        ['none', null],
        ['empty', null],
      ],
    );
    assert.deepEqual(body.data[0]?.tags, { a: 1 });
  });

  test('an endpoint without executor is refused; the CLIP encoder takes every one, as published', async () => {
    const { body } = await flow.post({ data: [{ text: 'x' }], exec_endpoint: '/nosuch' });
    assert.equal(body.data[0]?.embedding?.length, 512);
    const response = await fetch(`${flow.url}/nosuch`);
    assert.equal(response.status, 404);
    assert.deepEqual(await response.json(), { detail: 'Not Found' });
  });
});

test('an endpoint that no executor of the flow serves', async () => {
  const text = 'jtype: Flow\nexecutors:\n  - { name: upper, uses: ./flows/examples/upper.ts }\n';
  await using flow = await FlowProcess.start({ text });
  const { status, body } = await flow.post({ data: [{ text: 'x' }], exec_endpoint: '/nosuch' });
  assert.equal(status, 404);
  assert.match(body.header.status?.description ?? '', /UNKNOWN_ENDPOINT.*\/nosuch.*\/upper/);
});
