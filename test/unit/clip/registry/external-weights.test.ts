import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CachedRepository } from '../../../../executors/clip/registry/hub-cache.js';
import { makeFolder, openSession } from '../model/support.js';

// From dist/test/unit/clip/registry/ to the source tree.
const FIXTURES = fileURLToPath(new URL('../../../../../test/unit/clip/registry/fixtures/', import.meta.url));

// onnxruntime 1.24.1 refused this (issue 27353): the weights' link leads out of the graph's folder.
test("ONNX Runtime finds weights beside a graph in the hub's cache", async (t) => {
  const repository = new CachedRepository(await makeFolder(t, {}), 'immich-app/large');
  await mkdir(repository.blobs, { recursive: true });
  for (const [name, etag] of Object.entries({ 'external.onnx': 'a1', 'external.bin': 'b2' })) {
    await writeFile(join(repository.blobs, etag), await readFile(join(FIXTURES, name)));
    await repository.link('c0ffee', `textual/${name}`, etag);
  }
  const folder = await repository.point('main', 'c0ffee');
  const session = await openSession(t, { path: join(folder, 'textual/external.onnx') });
  const data = session.allocate('int32', 2);
  data.set([1, 3]);
  const { data: embedding } = await session.run({ ids: { type: 'int32', dims: [1, 2], data } });
  assert.deepEqual([...embedding], [16, 18, 20, 22]);
});
