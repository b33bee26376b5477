import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { buffer, text } from 'node:stream/consumers';
import { ClipflowError, type ErrorCode } from '../../src/errors.js';
import { openFileStore } from '../../src/jobs/store/open.js';
import { NO_S3_SERVER, S3Server } from '../support/s3-server.js';
import { fileStoreContract } from './file-store-contract.js';

const server = await S3Server.install();
const skip = server ? undefined : NO_S3_SERVER;

/** The SDK reads its settings from the environment. */
async function start(bucket: string): Promise<S3Server> {
  assert.ok(server);
  await server.start();
  Object.assign(process.env, server.env);
  await server.request('PUT', bucket);
  return server;
}

fileStoreContract(
  's3',
  async () => {
    const s3 = await start('contract');
    return {
      location: 's3://contract/some/prefix',
      leftovers: async () => (await s3.request('GET', 'contract?uploads')).match(/<Key>.*?<\/Key>/g) ?? [],
      stop: () => s3.stop(),
    };
  },
  skip,
);

async function* content(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

function says(code: ErrorCode, ...parts: string[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ClipflowError, String(error));
    assert.equal(error.code, code, error.message);
    for (const part of parts) assert.ok(error.message.includes(part), error.message);
    return true;
  };
}

/** Sets variables of the environment, undefined ones to nothing, while `run` runs. */
async function withEnv(changes: Record<string, string | undefined>, run: () => Promise<void>): Promise<void> {
  const before = { ...process.env };
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  try {
    await run();
  } finally {
    process.env = before;
  }
}

describe('a file store in S3', { skip: skip ?? false }, () => {
  let s3: S3Server;
  before(async () => (s3 = await start('store')));
  after(() => s3.stop());

  const put = (key: string, body: string): Promise<string> =>
    s3.request('PUT', `store/${key.split('/').map(encodeURIComponent).join('/')}`, body);

  test('reads objects of any name, without those that stand for folders', async () => {
    const names = ['100% +&?=#.png', 'a b.png', 'sub/ü (1).png'];
    for (const name of names) await put(`images/${name}`, name);
    await put('images/', '');
    await put('images/sub/', '');
    const store = await openFileStore('s3://store/images/', { readOnly: true });
    const found: string[] = [];
    for await (const { key } of store.list('')) {
      found.push(key);
      assert.equal(await text(await store.read(key)), key);
    }
    assert.deepEqual(found, names);
  });

  test('sees nothing of its neighbours', async () => {
    await put('neighbour-of/a', 'kept');
    await put('neighbour', 'kept');
    const store = await openFileStore('s3://store/neighbour');
    await store.write('of', content('x'));
    const found: string[] = [];
    for await (const { key } of store.list('')) found.push(key);
    assert.deepEqual(found, ['of']);
    await store.remove('of');
    const whole = await openFileStore('s3://store');
    assert.deepEqual([await whole.size('neighbour-of/a'), await whole.size('neighbour')], [4, 4]);
  });

  test('an address that is none is refused', async () => {
    for (const address of [
      's3://',
      's3:///prefix',
      's3:store',
      's3://key:secret@store',
      's3://store/a//b',
      's3://store/../b',
    ]) {
      await assert.rejects(openFileStore(address), says('INVALID_CONFIG', address, 'expected s3://bucket/prefix'));
    }
  });

  test('a bucket that is not there, credentials or a region that are missing: said at the start', async () => {
    await assert.rejects(
      openFileStore('s3://nowhere/jobs'),
      says('INVALID_CONFIG', 's3://nowhere/jobs', s3.endpoint, 'no bucket "nowhere"', 'create it'),
    );
    const none = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, AWS_PROFILE: undefined };
    const away = { AWS_EC2_METADATA_DISABLED: 'true', AWS_SHARED_CREDENTIALS_FILE: '/none', AWS_CONFIG_FILE: '/none' };
    await withEnv({ ...none, ...away }, () =>
      assert.rejects(openFileStore('s3://store/jobs'), says('INVALID_CONFIG', 's3://store/jobs', 'AWS_ACCESS_KEY_ID')),
    );
    await withEnv({ ...away, AWS_REGION: undefined, AWS_DEFAULT_REGION: undefined }, () =>
      assert.rejects(openFileStore('s3://store/jobs'), says('INVALID_CONFIG', 's3://store/jobs', 'AWS_REGION')),
    );
  });

  test('credentials that do not open the bucket are named as the reason', async () => {
    const demand = (from: string): Promise<Response> =>
      fetch(`${s3.endpoint}/moto-api/reset-auth`, { method: 'POST', body: from });
    assert.ok((await demand('0')).ok);
    try {
      await assert.rejects(
        openFileStore('s3://store/jobs'),
        says('INVALID_CONFIG', 's3://store/jobs', s3.endpoint, 'does not allow it', 'InvalidAccessKeyId'),
      );
    } finally {
      await demand('inf');
    }
  });

  test('a server that dies: UNAVAILABLE in mid-file and after; it is used again once it is back', async () => {
    const store = await openFileStore('s3://store/jobs');
    await store.write('large', content('x'.repeat(40 * 2 ** 20)));
    const reading = await store.read('large');
    await s3.stop();
    await assert.rejects(buffer(reading), says('UNAVAILABLE', 's3://store/jobs', s3.endpoint));
    await assert.rejects(store.write('a', content('x')), says('UNAVAILABLE', s3.endpoint, 'cannot be reached'));
    await assert.rejects(store.size('large'), says('UNAVAILABLE'));
    const early = await openFileStore('s3://store/jobs');
    await start('store');
    for (const one of [store, early]) {
      await one.write('a', content('back'));
      assert.equal(await text(await one.read('a')), 'back');
    }
  });
});
