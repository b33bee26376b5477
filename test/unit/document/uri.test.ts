import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { ClipflowError, type ErrorCode } from '../../../src/errors.js';
import { createUriLoader, isPublicAddress, parseUriAllow, type UriLoaderOptions } from '../../../src/document/uri.js';

const DEFAULTS: UriLoaderOptions = { allow: ['public'], maxBytes: 1000, timeoutMs: 5000 };
const PRIVATE: UriLoaderOptions = { ...DEFAULTS, allow: ['private'] };

const load = (uri: string, options = DEFAULTS, signal?: AbortSignal) => createUriLoader(options)(uri, signal);

function rejects(loading: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  return assert.rejects(loading, (error: unknown) => {
    assert.ok(error instanceof ClipflowError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

describe('data: uris', () => {
  const text = async (uri: string) => {
    const { bytes, mimeType } = await load(uri);
    return [mimeType, Buffer.from(bytes).toString()];
  };

  test('the examples of RFC 2397 and of WHATWG fetch', async () => {
    assert.deepEqual(await text('data:,A%20brief%20note'), ['text/plain', 'A brief note']);
    assert.deepEqual(await text('data:text/html;charset=utf-8,%3Cp%3E'), ['text/html', '<p>']);
    assert.deepEqual(await text('DATA:Image/PNG;base64,aGVsbG8='), ['image/png', 'hello']);
    assert.deepEqual(await text('data:;base64,aGVsbG8'), ['text/plain', 'hello']);
    assert.deepEqual(await text('data:;base64,aGVs%0AbG8%3D'), ['text/plain', 'hello']);
    assert.deepEqual(await text('data:,a,b;c?d#e'), ['text/plain', 'a,b;c?d#e']);
    assert.deepEqual(await text('data:,é'), ['text/plain', 'é']);
    assert.deepEqual(await text('data:,'), ['text/plain', '']);
  });

  test('what Buffer writes as base64 comes back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, escaped) => {
        const base64 = Buffer.from(bytes).toString('base64');
        const loaded = await load(`data:image/png;base64,${escaped ? encodeURIComponent(base64) : base64}`);
        assert.deepEqual(Buffer.from(loaded.bytes), Buffer.from(bytes));
      }),
    );
  });

  test('invalid ones are refused', async () => {
    await rejects(load('data:image/png;base64'), 'INVALID_DOCUMENT', /no comma/);
    for (const data of ['a', '====', 'aGVsbG8=====', 'aGV$bG8=', 'aGVsbG8_', 'aGVsbG=8']) {
      await rejects(load(`data:;base64,${data}`), 'INVALID_DOCUMENT', /base64/);
    }
    await rejects(load('data:,100%'), 'INVALID_DOCUMENT', /'%'/);
    await rejects(load(`data:,${'x'.repeat(1001)}`), 'PAYLOAD_TOO_LARGE', /1001 bytes; the limit is 1000/);
  });

  test('are allowed whatever the policy', async () => {
    assert.equal((await load('data:,x', { ...DEFAULTS, allow: [] })).bytes.length, 1);
  });
});

describe('addresses', () => {
  // IANA's special-purpose registries, RFC 6890, 6052, 3056, 4291.
  const special = [
    ...['127.0.0.1', '10.1.2.3', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '0.1.2.3'],
    ...['224.0.0.1', '240.0.0.1', '255.255.255.255', '192.0.0.8', '192.0.2.1', '198.18.0.1', '203.0.113.1'],
    ...['::', '::1', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd12::1', 'ff02::1', '2001:db8::1', '100::1', 'fec0::1'],
    ...['::ffff:127.0.0.1', '::ffff:10.0.0.1', '::ffff:a9fe:a9fe', '::127.0.0.1', '::a9fe:a9fe'],
    ...['64:ff9b::7f00:1', '64:ff9b:1::a00:1', '2002:7f00:1::', '2002:a9fe:a9fe::1', '2001::1', '4000::1'],
  ];
  for (const address of special) test(`${address} is not public`, () => assert.equal(isPublicAddress(address), false));
  for (const address of ['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:8.8.8.8']) {
    test(`${address} is public`, () => assert.equal(isPublicAddress(address), true));
  }
});

describe('http', () => {
  let server: Server;
  let base: string;
  let handle: RequestListener = (_, response) => void response.end();
  const requests: string[] = [];

  before(async () => {
    server = createServer((request, response) => {
      requests.push(JSON.stringify([request.url, request.headers]));
      handle(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  /** A server whose /0 redirects to /1 and so on; `last` answers. */
  const redirecting =
    (last: number): RequestListener =>
    (request, response) => {
      const hop = Number(request.url?.slice(1));
      if (hop < last) response.writeHead(302, { location: `/${hop + 1}` }).end();
      else response.writeHead(200, { 'content-type': 'Image/PNG; q=1' }).end('here');
    };

  test('content and mime type', async () => {
    handle = redirecting(0);
    const { bytes, mimeType } = await load(`${base}/0`, PRIVATE);
    assert.equal(Buffer.from(bytes).toString(), 'here');
    assert.equal(mimeType, 'image/png');
  });

  test('private addresses are refused without a request, however they are written', async () => {
    requests.length = 0;
    const { port } = new URL(base);
    const hosts = ['127.0.0.1', 'localhost', '2130706433', '0x7f.1', '[::1]', '[::ffff:127.0.0.1]', '0', '127.1'];
    for (const host of hosts) {
      await rejects(
        load(`http://${host}:${port}/`),
        'URI_FORBIDDEN',
        /'private' to with\.uri\.allow.*CLIPFLOW_URI_ALLOW/,
      );
    }
    assert.equal(requests.length, 0);
    await rejects(load(`${base}/`, { ...DEFAULTS, allow: ['file'] }), 'URI_FORBIDDEN', /private/);
    await rejects(load('http://example.com/', { ...DEFAULTS, allow: [] }), 'URI_FORBIDDEN', /'public'/);
  });

  test('a host name is allowed by what it resolves to', async () => {
    handle = redirecting(0);
    const { port } = new URL(base);
    assert.equal((await load(`http://localhost:${port}/0`, PRIVATE)).bytes.length, 4);
  });

  test('at most five redirects are followed', async () => {
    handle = redirecting(5);
    assert.equal((await load(`${base}/0`, PRIVATE)).bytes.length, 4);
    handle = redirecting(6);
    await rejects(load(`${base}/0`, PRIVATE), 'URI_UNREACHABLE', /more than 5 times/);
  });

  test('each redirect is checked anew', async () => {
    const policy: UriLoaderOptions = { ...DEFAULTS, allow: ['private', 'file'] };
    const targets: [string, RegExp][] = [
      ['http://8.8.8.8/', /public address 8\.8\.8\.8/],
      ['file:///etc/passwd', /only http and https/],
      ['data:,x', /only http and https/],
    ];
    for (const [location, message] of targets) {
      handle = (_, response) => void response.writeHead(302, { location }).end();
      await rejects(load(`${base}/`, policy), 'URI_FORBIDDEN', message);
    }
  });

  test('neither credentials nor queries show, and no credentials are sent', async () => {
    requests.length = 0;
    handle = (_, response) => void response.writeHead(404).end('not here');
    const uri = `${base.replace('//', '//user:secret@')}/a?token=secret`;
    await assert.rejects(load(uri, PRIVATE), (error: ClipflowError) => {
      assert.equal(error.code, 'URI_UNREACHABLE');
      assert.match(error.message, /\/a' answered with status 404/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
    assert.doesNotMatch(requests.join(), /"authorization"/i);
  });

  test('the size limit holds with and without a content-length', async () => {
    handle = (_, response) => void response.end(Buffer.alloc(1001));
    await rejects(load(`${base}/`, PRIVATE), 'PAYLOAD_TOO_LARGE', /the limit is 1000/);
    handle = (_, response) => {
      // Endless: only the limit stops it.
      const write = () => void (response.writable && response.write(Buffer.alloc(400), write));
      write();
    };
    await rejects(load(`${base}/`, PRIVATE), 'PAYLOAD_TOO_LARGE', /the limit is 1000/);
    handle = (_, response) => void response.end(Buffer.alloc(1000));
    assert.equal((await load(`${base}/`, PRIVATE)).bytes.length, 1000);
  });

  test('the time limit and the caller end a server that stalls', async () => {
    handle = (_, response) => void response.write('x');
    await rejects(load(`${base}/`, { ...PRIVATE, timeoutMs: 50 }), 'URI_UNREACHABLE', /longer than 50 ms/);
    const controller = new AbortController();
    handle = (_, response) => {
      response.write('x');
      controller.abort();
    };
    await rejects(load(`${base}/`, PRIVATE, controller.signal), 'CANCELLED', /was cancelled/);
  });

  test('unreachable hosts say why', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    await rejects(load(`http://127.0.0.1:${port}/`, PRIVATE), 'URI_UNREACHABLE', /ECONNREFUSED/);
    await rejects(load('http://no-such-host.invalid/'), 'URI_UNREACHABLE', /ENOTFOUND|EAI_AGAIN/);
    await rejects(load('http://'), 'INVALID_DOCUMENT', /no valid URL/);
    await rejects(load('ftp://host/file'), 'INVALID_DOCUMENT', /scheme 'ftp:'/);
  });
});

describe('local files', () => {
  let folder: string;
  const FILES: UriLoaderOptions = { ...DEFAULTS, allow: ['file'] };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'clipflow-uri-'));
    await writeFile(join(folder, 'a b.txt'), 'content');
    await writeFile(join(folder, 'large'), Buffer.alloc(1001));
  });
  after(() => rm(folder, { recursive: true }));

  test('paths and file: uris, where allowed', async () => {
    const path = join(folder, 'a b.txt');
    for (const uri of [path, pathToFileURL(path).href]) {
      assert.equal(Buffer.from((await load(uri, FILES)).bytes).toString(), 'content');
      await rejects(load(uri), 'URI_FORBIDDEN', /'file' to with\.uri\.allow/);
    }
  });

  test('what cannot be read', async () => {
    await rejects(load(join(folder, 'large'), FILES), 'PAYLOAD_TOO_LARGE', /1001 bytes/);
    await rejects(load(join(folder, 'nothing'), FILES), 'URI_UNREACHABLE', /ENOENT/);
    await rejects(load(folder, FILES), 'URI_UNREACHABLE', /no regular file/);
    await rejects(load('file://host/share', FILES), 'INVALID_DOCUMENT', /no local file/);
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    await rejects(load(pipe, FILES), 'URI_UNREACHABLE', /no regular file/);
  });
});

test('CLIPFLOW_URI_ALLOW', () => {
  assert.deepEqual(parseUriAllow('public,private,file'), ['public', 'private', 'file']);
  assert.deepEqual(parseUriAllow(' file , '), ['file']);
  assert.deepEqual(parseUriAllow(''), []);
  assert.throws(() => parseUriAllow('public,files'), {
    code: 'INVALID_CONFIG',
    message: /'files'.*public, private, file/,
  });
});
