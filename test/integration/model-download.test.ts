import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { locateModel } from '../../executors/clip/locate.js';
import { readModelFolder } from '../../executors/clip/model/folder.js';
import { cachedModel, provideModel, pullModel } from '../../executors/clip/registry/hub.js';
import type { HubSettings } from '../../executors/clip/registry/hub-settings.js';
import { requireModel } from '../../executors/clip/registry/registry.js';
import { COMMIT, FakeHub, REPOSITORY, type Fault, type Seen } from '../unit/clip/registry/fake-hub.js';

const CLI = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const TINY = fileURLToPath(new URL('../../../models/tiny-clip/', import.meta.url));

const model = requireModel('ViT-B-32::openai');
const patience = { attempts: 3, pauseMs: 1, stallMs: 500 };
const log = pino({ level: 'silent' });

/** A repository as Immich lays it out, of noise; large enough that a connection can break in the middle. */
function files(): Record<string, Buffer> {
  return {
    '.gitattributes': Buffer.from('*.onnx filter=lfs\n'),
    'README.md': Buffer.from('# A model\n'),
    'config.json': Buffer.from('{}'),
    'textual/model.onnx': randomBytes(300_000),
    'textual/special_tokens_map.json': Buffer.from('{}'),
    'textual/tokenizer.json': randomBytes(50_000),
    'textual/tokenizer_config.json': Buffer.from('{"pad_token": "x"}'),
    'visual/empty.bin': Buffer.alloc(0),
    'visual/model.onnx': randomBytes(400_000),
    'visual/preprocess_cfg.json': Buffer.from('{"size": 64}'),
    'visual/rknpu/rk3588/model.rknn': randomBytes(1000),
  };
}

const WANTED = Object.keys(files()).filter((path) => /^(config|textual|visual)/.test(path) && !path.endsWith('.rknn'));

async function setUp(t: TestContext, content = files()): Promise<{ hub: FakeHub; settings: HubSettings }> {
  const cache = await mkdtemp(join(tmpdir(), 'clipflow-hub-'));
  const hub = await FakeHub.start(content);
  t.after(async () => {
    await hub[Symbol.asyncDispose]();
    await rm(cache, { recursive: true });
  });
  return { hub, settings: { endpoint: hub.endpoint, offline: false, cache } };
}

/** The files of a snapshot hold what the hub has. */
async function assertWhole(folder: string, hub: FakeHub): Promise<void> {
  for (const path of WANTED)
    assert.ok((await readFile(join(folder, path))).equals(hub.files.get(path) as Buffer), path);
}

/** Plays a fault on the first request that matches, and on that only. */
function playOnce(hub: FakeHub, matches: (seen: Seen) => boolean, fault: Fault): void {
  let played = false;
  hub.fault = (seen) => {
    if (played || !matches(seen)) return undefined;
    played = true;
    return fault;
  };
}

const isGraph = ({ from, method }: Seen) => from === 'cdn' && method === 'GET';

describe('a download', () => {
  test("lies in the cache as huggingface_hub's does", async (t) => {
    const { hub, settings } = await setUp(t);
    const folder = await provideModel(model, settings, { log, patience });
    const repository = join(settings.cache, 'models--immich-app--ViT-B-32__openai');
    assert.equal(folder, join(repository, 'snapshots', COMMIT));
    await assertWhole(folder, hub);
    assert.equal(await readFile(join(repository, 'refs/main'), 'utf8'), COMMIT);
    for (const path of WANTED) {
      const target = relative(join(folder, path, '..'), join(repository, 'blobs', hub.etagOf(path)));
      assert.equal(await readlink(join(folder, path)), target);
    }
    const found = await readdir(folder, { recursive: true, withFileTypes: true });
    assert.deepEqual(found.filter((entry) => entry.isSymbolicLink()).length, WANTED.length);
    const blobs = new Set(WANTED.map((path) => hub.etagOf(path)));
    assert.deepEqual((await readdir(join(repository, 'blobs'))).sort(), [...blobs].sort());
  });

  test('is not asked for again; pull asks, and fetches what changed', async (t) => {
    const { hub, settings } = await setUp(t);
    const first = await provideModel(model, settings, { log, patience });
    const before = hub.seen.length;
    assert.equal(await provideModel(model, { ...settings, offline: true }, { log, patience }), first);
    assert.equal(hub.seen.length, before);
    hub.commit = COMMIT.replace('5', '6');
    hub.files.set('config.json', Buffer.from('{"new": true}'));
    const second = await pullModel(model, settings, { log, patience });
    await assertWhole(second, hub);
    assert.deepEqual(
      hub.seen
        .slice(before)
        .filter(({ method }) => method === 'GET')
        .map(({ path }) => path.replace(/.*\//, '')),
      ['main', 'config.json'],
    );
    assert.equal(await cachedModel(model, settings), second);
  });

  test('reports its progress', async (t) => {
    const { settings } = await setUp(t);
    const lines: { event: string; total: number; bytes?: number }[] = [];
    const write = (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[0]);
    await provideModel(model, settings, { log: pino({ messageKey: 'event' }, { write }), patience });
    const content = files();
    const distinct = WANTED.filter((path) => path !== 'textual/special_tokens_map.json'); // equal to config.json
    const total = distinct.reduce((sum, path) => sum + (content[path]?.length ?? 0), 0);
    assert.deepEqual(
      lines.map(({ event, total, bytes }) => ({ event, total, bytes })),
      [
        { event: 'model_download_started', total, bytes: 0 },
        { event: 'model_downloaded', total, bytes: undefined },
      ],
    );
  });
});

describe('a download that is disturbed', () => {
  test('goes on where the connection broke', async (t) => {
    const { hub, settings } = await setUp(t);
    playOnce(hub, isGraph, { cut: 100_000 });
    await assertWhole(await provideModel(model, settings, { log, patience }), hub);
    const resumed = hub.fetches.filter((seen) => isGraph(seen) && seen.range !== undefined);
    assert.equal(resumed.length, 1);
    assert.match(resumed[0]?.range ?? '', /^bytes=\d{5,6}-$/);
  });

  test('goes on after a restart of the process', async (t) => {
    const { hub, settings } = await setUp(t);
    const data = hub.files.get('visual/model.onnx') as Buffer;
    const blobs = join(settings.cache, 'models--immich-app--ViT-B-32__openai/blobs');
    await mkdir(blobs, { recursive: true });
    await writeFile(join(blobs, `${hub.etagOf('visual/model.onnx')}.incomplete`), data.subarray(0, 123_456));
    await assertWhole(await provideModel(model, settings, { log, patience }), hub);
    assert.deepEqual(
      hub.fetches.filter(isGraph).flatMap(({ range }) => range ?? []),
      ['bytes=123456-'],
    );
  });

  const faults: [string, (seen: Seen) => boolean, Fault][] = [
    ['a stall', isGraph, { stall: 50_000 }],
    ['a server that cannot resume', ({ range }) => range !== undefined, { whole: true }],
    ['429', ({ path }) => path.startsWith('/api/'), { status: 429, headers: { 'retry-after': '0' } }],
    ['500', ({ method }) => method === 'HEAD', { status: 500 }],
    ['503 from the CDN', isGraph, { status: 503 }],
    ['wrong bytes, once', isGraph, { body: randomBytes(300_000) }],
    ['too many bytes, once', isGraph, { body: randomBytes(500_000) }],
    [
      'a wrong small file, once',
      ({ method, path }) => method === 'GET' && path.endsWith('g.json'),
      { body: Buffer.from('[]') },
    ],
  ];
  for (const [name, matches, fault] of faults) {
    test(`survives ${name}`, async (t) => {
      const { hub, settings } = await setUp(t);
      if (fault.whole) {
        let cut = false;
        hub.fault = (seen) => {
          if (matches(seen)) return fault;
          if (cut || !isGraph(seen)) return undefined;
          cut = true;
          return { cut: 100_000 };
        };
      } else playOnce(hub, matches, fault);
      await assertWhole(await provideModel(model, settings, { log, patience }), hub);
    });
  }

  test('a line that breaks again and again, but always later, is borne', async (t) => {
    const { hub, settings } = await setUp(t);
    hub.fault = (seen) => (isGraph(seen) ? { cut: 66_000 } : undefined);
    await assertWhole(await provideModel(model, settings, { log, patience }), hub);
    assert.ok(hub.fetches.filter(isGraph).length > 2 * patience.attempts);
  });

  const hopeless: [string, (seen: Seen) => Fault | undefined, RegExp][] = [
    [
      '404',
      ({ path }) => (path.startsWith('/api/') ? { status: 404 } : undefined),
      /could not be listed.*404.*HF_ENDPOINT/,
    ],
    ['401', () => ({ status: 401 }), /401: it is not public; set HF_TOKEN/],
    ['500 for ever', () => ({ status: 500 }), /status 500 \(3 times\)/],
    ['no hub', () => ({ body: Buffer.from('<html>') }), /does not answer as a hub; check HF_ENDPOINT/],
    [
      'too few bytes for ever',
      (seen) => (isGraph(seen) ? { body: randomBytes(seen.path.length) } : undefined),
      /could not be fetched: only \d+ of its \d+ bytes/,
    ],
    [
      'a wrong ETag',
      ({ path }) =>
        path.endsWith('visual/model.onnx') ? { headers: { 'x-linked-etag': `"${'a'.repeat(64)}"` } } : undefined,
      /visual\/model\.onnx arrived 2 times, but wrong: its checksum is [0-9a-f]{64}, expected a{64}/,
    ],
    [
      'more than the disk holds',
      ({ path }) =>
        path.endsWith('visual/model.onnx') ? { headers: { 'x-linked-size': '8000000000000000' } } : undefined,
      /takes 80000\d+ MB more, but .* has \d+ MB free: free some, or set HF_HUB_CACHE/,
    ],
  ];
  for (const [name, fault, message] of hopeless) {
    test(`fails clearly: ${name}`, async (t) => {
      const { hub, settings } = await setUp(t);
      hub.fault = fault;
      await assert.rejects(provideModel(model, settings, { log, patience }), { code: 'MODEL_UNAVAILABLE', message });
      assert.equal(await cachedModel(model, settings), undefined);
      assert.deepEqual(await readdir(join(settings.cache, '.locks/models--immich-app--ViT-B-32__openai')), []);
    });
  }

  test('nothing listens', async (t) => {
    const { hub, settings } = await setUp(t);
    const endpoint = hub.endpoint.replace(/\d+$/, '1');
    const message = /could not be listed: .*ECONNREFUSED/;
    const failed = provideModel(model, { ...settings, endpoint }, { log, patience });
    await assert.rejects(failed, { code: 'MODEL_UNAVAILABLE', message });
  });

  test('a cache that cannot be written', async (t) => {
    const { settings } = await setUp(t);
    const failed = provideModel(model, { ...settings, cache: '/dev/null/hub' }, { log, patience });
    await assert.rejects(failed, {
      code: 'MODEL_UNAVAILABLE',
      message: /cannot be written to \/dev\/null\/hub.*HF_HUB_CACHE/,
    });
  });

  test('offline', async (t) => {
    const { hub, settings } = await setUp(t);
    const failed = provideModel(model, { ...settings, offline: true }, { log, patience });
    await assert.rejects(failed, { code: 'INVALID_CONFIG', message: /HF_HUB_OFFLINE.*clipflow pull ViT-B-32::openai/ });
    assert.equal(hub.seen.length, 0);
  });

  test('a repository that is another thing', async (t) => {
    const { settings } = await setUp(t, { 'pytorch_model.bin': randomBytes(10) });
    const failed = provideModel(model, settings, { log, patience });
    await assert.rejects(failed, { code: 'INVALID_MODEL', message: /is no open-clip model: config\.json/ });
  });
});

test('the token goes to the hub and nowhere else', async (t) => {
  const { hub, settings } = await setUp(t);
  hub.token = 'hf_secret';
  const refused = provideModel(model, { ...settings, token: 'hf_wrong' }, { log, patience });
  await assert.rejects(refused, { code: 'MODEL_UNAVAILABLE', message: /401: HF_TOKEN may not read it/ });
  hub.seen.length = 0;
  await assertWhole(await provideModel(model, { ...settings, token: 'hf_secret' }, { log, patience }), hub);
  for (const { from, token } of hub.seen) assert.equal(token, from === 'hub' ? 'Bearer hf_secret' : undefined);
  assert.ok(hub.seen.some(isGraph));
});

test('file names that lead out of the cache are left out', async (t) => {
  const { hub, settings } = await setUp(t, {
    ...files(),
    'textual/../../../evil': randomBytes(9),
    '/evil': randomBytes(9),
  });
  await assertWhole(await provideModel(model, settings, { log, patience }), hub);
  assert.ok(hub.seen.every(({ path }) => !path.includes('evil')));
});

test('of several processes one downloads, the others wait for it', async (t) => {
  const { hub, settings } = await setUp(t);
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  hub.fault = async ({ path }) => {
    if (path.startsWith('/api/')) await opened;
    return undefined;
  };
  const env = {
    ...process.env,
    HF_ENDPOINT: settings.endpoint,
    HF_HUB_CACHE: settings.cache,
    CLIPFLOW_MODELS: settings.cache,
  };
  const script = `
    const [{ locateModel }, { pino }] = await Promise.all(process.argv.slice(1).map((module) => import(module)));
    const log = pino({ messageKey: 'event' }, { write: (line) => void process.stderr.write(line) });
    process.stdout.write(await locateModel('ViT-B-32__openai', { log }));`;
  const modules = [new URL('../../executors/clip/locate.js', import.meta.url).href, import.meta.resolve('pino')];
  let waiting = 0;
  const children = Array.from({ length: 3 }, () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', ...modules], { env });
    child.stderr.on('data', (chunk: Buffer) => {
      waiting += chunk.toString().split('"model_download_awaited"').length - 1;
      if (waiting === 2) open();
    });
    return child;
  });
  const folders = await Promise.all(children.map((child) => text(child.stdout)));
  for (const folder of folders) await assertWhole(folder, hub);
  assert.equal(new Set(folders).size, 1);
  assert.equal(hub.seen.filter(({ path }) => path.startsWith('/api/')).length, 1);
  assert.equal(hub.fetches.filter(isGraph).length, 2);
});

test('clipflow pull brings a model that can be loaded, and clipflow models shows it', async (t) => {
  const [textual, visual, openai] = await Promise.all(
    ['textual.onnx', 'visual.onnx', 'config.json'].map((name) => readFile(join(TINY, name))),
  );
  const { mean, std } = JSON.parse(String(openai)) as Record<string, number[]>;
  const json = (value: object) => Buffer.from(JSON.stringify(value));
  const { hub, settings } = await setUp(t, {
    'config.json': json({ embed_dim: 512, vision_cfg: { image_size: 64 }, text_cfg: { context_length: 77 } }),
    'textual/model.onnx': textual as Buffer,
    'textual/tokenizer.json': json({}),
    'textual/tokenizer_config.json': json({ pad_token: '<|endoftext|>', tokenizer_class: 'CLIPTokenizer' }),
    'visual/model.onnx': visual as Buffer,
    'visual/preprocess_cfg.json': json({ size: 64, mean, std, interpolation: 'bicubic', resize_mode: 'shortest' }),
  });
  const env = {
    ...process.env,
    HF_ENDPOINT: hub.endpoint,
    HF_HUB_CACHE: settings.cache,
    CLIPFLOW_MODELS: settings.cache,
  };
  const run = async (...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> => {
    const child = spawn(process.execPath, [CLI, ...args], { env });
    const ended = once(child, 'exit') as Promise<[number | null]>;
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { code, stdout, stderr };
  };
  const pulled = await run('pull', 'ViT-B/32');
  assert.equal(pulled.code, 0, pulled.stderr);
  const spec = await readModelFolder(pulled.stdout.trim());
  assert.deepEqual([spec.layout, spec.contextLength, spec.image.size], ['open-clip', 77, 64]);
  assert.equal(spec.tokenizer.kind === 'tokenizer-json' && spec.tokenizer.clean, 'lower');

  const [table, listed, unknown] = await Promise.all([run('models'), run('models', '--json'), run('pull', 'ViT-B-33')]);
  assert.match(table.stdout, /^NAME +DIMENSION +IMAGE +CONTEXT +ON DISK\n/);
  assert.match(table.stdout, /^ViT-B-32::openai +512 +224 +77 +7 MB$/m);
  assert.match(table.stdout, /^ViT-L-14::openai +768 +224 +77 +-$/m);
  const rows = JSON.parse(listed.stdout) as { name: string; repository: string; path: string | null }[];
  const row = rows.find(({ name }) => name === 'ViT-B-32::openai');
  assert.deepEqual([row?.repository, row?.path], [REPOSITORY, pulled.stdout.trim()]);
  assert.equal(unknown.code, 78);
  assert.match(unknown.stderr, /^clipflow: there is no model "ViT-B-33"; the nearest are ViT-B-/);
});

test('a model folder of the user comes before the hub', async (t) => {
  const { settings } = await setUp(t);
  const folder = join(settings.cache, 'ViT-B-32-openai');
  await mkdir(folder);
  for (const name of ['ViT-B-32::openai', 'ViT-B-32__openai', 'ViT-B/32']) {
    assert.equal(await locateModel(name, { models: settings.cache, log }), folder);
  }
  await assert.rejects(locateModel('ViT-B-64', { models: settings.cache, log }), {
    code: 'INVALID_MODEL',
    message: /"ViT-B-64" is not here \(looked for .*ViT-B-64.*nearest are ViT-B-/,
  });
});
