import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { buffer, text } from 'node:stream/consumers';
import { ClipflowError, type ErrorCode } from '../../src/errors.js';
import type { FileStore } from '../../src/jobs/store/file-store.js';
import { openFileStore } from '../../src/jobs/store/open.js';

export interface FileStoreHarness {
  location: string;
  /** What is in the store that no key names: what an unfinished write left. */
  leftovers: () => Promise<readonly string[]>;
  stop: () => Promise<void>;
}

const MB = 2 ** 20;

async function* pieces(...contents: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const content of contents) yield Buffer.from(content);
}

function hasCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof ClipflowError && error.code === code;
}

async function keysOf(store: FileStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

/** What every file store must do. */
export function fileStoreContract(name: string, start: () => Promise<FileStoreHarness>, skip?: string): void {
  describe(`file store contract: ${name}`, { skip: skip ?? false }, () => {
    let harness: FileStoreHarness;
    let store: FileStore;

    before(async () => {
      harness = await start();
      store = await openFileStore(harness.location);
    });

    after(() => harness.stop());

    test('what was written is read, by another process of the flow too', async () => {
      assert.equal(await store.write('files/a', pieces('one ', 'two')), 7);
      const other = await openFileStore(harness.location);
      assert.equal(await text(await other.read('files/a')), 'one two');
      assert.equal(await other.size('files/a'), 7);
    });

    test('a file is replaced as a whole', async () => {
      await store.write('files/replaced', pieces('a long content'));
      await store.write('files/replaced', pieces('short'));
      assert.equal(await text(await store.read('files/replaced')), 'short');
    });

    test('an empty file is a file', async () => {
      assert.equal(await store.write('files/empty', pieces()), 0);
      assert.equal(await store.size('files/empty'), 0);
      assert.equal(await text(await store.read('files/empty')), '');
      assert.equal(await text(await store.read('files/empty', { start: 0, end: 0 })), '');
    });

    test('40 MB in pieces of odd sizes come back the same', async () => {
      const written = createHash('sha256');
      const content = async function* (): AsyncGenerator<Uint8Array> {
        for (let left = 40 * MB; left > 0; left -= 999_983) {
          const piece = randomBytes(Math.min(left, 999_983));
          written.update(piece);
          yield piece;
        }
      };
      assert.equal(await store.write('files/large', content()), 40 * MB);
      const read = createHash('sha256');
      for await (const piece of await store.read('files/large')) read.update(piece as Buffer);
      assert.equal(read.digest('hex'), written.digest('hex'));
      assert.equal(await store.size('files/large'), 40 * MB);
    });

    test('ranges go from their start up to but without their end, and not beyond the file', async () => {
      await store.write('files/ranges', pieces('0123456789'));
      const ranges: [start: number | undefined, end: number | undefined, content: string][] = [
        [0, 4, '0123'],
        [3, 4, '3'],
        [7, undefined, '789'],
        [undefined, 2, '01'],
        [8, 100, '89'],
        [4, 4, ''],
        [10, 20, ''],
        [50, undefined, ''],
      ];
      for (const [start, end, content] of ranges) {
        const range = { ...(start !== undefined && { start }), ...(end !== undefined && { end }) };
        assert.equal(await text(await store.read('files/ranges', range)), content, JSON.stringify(range));
      }
    });

    test('a reader that stops early does no harm', async () => {
      await store.write('files/stopped', pieces(randomBytes(8 * MB)));
      for (let round = 0; round < 100; round++) {
        const content = await store.read('files/stopped');
        if (round % 2 === 0) for await (const _ of content) break;
        content.destroy();
      }
      assert.equal((await buffer(await store.read('files/stopped'))).length, 8 * MB);
    });

    test('what there is not has no size and cannot be read', async () => {
      assert.equal(await store.size('files/none'), undefined);
      await assert.rejects(store.read('files/none'), hasCode('NOT_FOUND'));
      await assert.rejects(store.read('files/none', { start: 2, end: 2 }), hasCode('NOT_FOUND'));
      await store.write('files/folder/inside', pieces('x'));
      assert.equal(await store.size('files/folder'), undefined);
    });

    test('more than maxBytes is refused, and nothing is left of it', async () => {
      for (const bytes of [MB, 40 * MB]) {
        const content = pieces(randomBytes(bytes - 1), 'ab');
        await assert.rejects(
          store.write('files/too-large', content, { maxBytes: bytes }),
          hasCode('PAYLOAD_TOO_LARGE'),
        );
      }
      assert.equal(await store.size('files/too-large'), undefined);
      assert.deepEqual(await harness.leftovers(), []);
      assert.equal(await store.write('files/just-right', pieces('abc'), { maxBytes: 3 }), 3);
    });

    test('a content that fails leaves the file as it was, and its error is thrown', async () => {
      await store.write('files/kept', pieces('as it was'));
      const failure = new Error('the caller went away');
      for (const bytes of [10, 40 * MB]) {
        const content = async function* (): AsyncGenerator<Uint8Array> {
          yield randomBytes(bytes);
          throw failure;
        };
        await assert.rejects(store.write('files/kept', content()), (error) => error === failure);
      }
      assert.equal(await text(await store.read('files/kept')), 'as it was');
      assert.deepEqual(await harness.leftovers(), []);
    });

    test('lists what starts with a prefix, in the order of the keys, with sizes', async () => {
      const keys = ['order/a-b', 'order/a.b', 'order/a/b', 'order/a0', 'order/b/c/d', 'orders'];
      for (const key of keys.toReversed()) await store.write(key, pieces(key));
      assert.deepEqual(await keysOf(store, 'order'), keys);
      assert.deepEqual(await keysOf(store, 'order/'), keys.slice(0, -1));
      assert.deepEqual(await keysOf(store, 'order/a'), keys.slice(0, 4));
      assert.deepEqual(await keysOf(store, 'order/b/'), ['order/b/c/d']);
      assert.deepEqual(await keysOf(store, 'nothing/'), []);
      assert.ok((await keysOf(store, '')).includes('order/a/b'));
      for await (const { key, bytes } of store.list('order/')) assert.equal(bytes, key.length);
    });

    test('lists and removes more files than one page of a listing has', async () => {
      const keys = Array.from({ length: 1001 }, (_, i) => `many/${String(i).padStart(4, '0')}`);
      for (let at = 0; at < keys.length; at += 50) {
        await Promise.all(keys.slice(at, at + 50).map((key) => store.write(key, pieces('x'))));
      }
      assert.deepEqual(await keysOf(store, 'many/'), keys);
      await store.remove('many');
      assert.deepEqual(await keysOf(store, 'many/'), []);
    });

    test('removes a file, or all that is below a key, and nothing else', async () => {
      const keys = ['gone/1/below', 'gone/1/further/below', 'gone/10', 'gone/2'];
      for (const key of keys) await store.write(key, pieces('x'));
      await store.remove('gone/1');
      assert.deepEqual(await keysOf(store, 'gone/'), ['gone/10', 'gone/2']);
      await store.remove('gone/2');
      await store.remove('gone/2');
      await store.remove('gone/never');
      assert.deepEqual(await keysOf(store, 'gone/'), ['gone/10']);
    });

    test('a key that leads out of the store is refused', async () => {
      for (const key of ['../out', 'a/../../out', '/etc/passwd', 'a//b', '', 'a/', '.', 'a\0b']) {
        await assert.rejects(store.write(key, pieces('x')), hasCode('INVALID_REQUEST'), `write ${key}`);
        await assert.rejects(store.read(key), hasCode('INVALID_REQUEST'), `read ${key}`);
        await assert.rejects(store.size(key), hasCode('INVALID_REQUEST'), `size ${key}`);
        await assert.rejects(store.remove(key), hasCode('INVALID_REQUEST'), `remove ${key}`);
      }
      await assert.rejects(keysOf(store, '../'), hasCode('INVALID_REQUEST'));
      await assert.rejects(store.write('späße', pieces('x')), hasCode('INVALID_REQUEST'));
    });

    test('many writes and reads at a time', async () => {
      const contents = Array.from({ length: 200 }, (_, i) => `content ${i}`);
      await Promise.all(contents.map((content, i) => store.write(`parallel/${i}`, pieces(content))));
      const read = await Promise.all(contents.map(async (_, i) => text(await store.read(`parallel/${i}`))));
      assert.deepEqual(read, contents);
    });
  });
}
