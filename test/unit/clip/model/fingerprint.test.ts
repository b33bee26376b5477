import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fingerprintOf } from '../../../../executors/clip/model/fingerprint.js';
import { readModelFolder } from '../../../../executors/clip/model/folder.js';
import { ROOT } from '../../../support/flow-process.js';

test('a fingerprint tells models by what their embeddings depend on, wherever they lie', async (t) => {
  const parent = mkdtempSync(join(tmpdir(), 'clipflow-models-'));
  t.after(() => rmSync(parent, { recursive: true }));
  const [one, two] = [join(parent, 'one'), join(parent, 'two')];
  for (const folder of [one, two]) cpSync(join(ROOT, 'models/tiny-clip'), folder, { recursive: true });
  const of = async (folder: string, settings: unknown[] = []): Promise<string> =>
    fingerprintOf(await readModelFolder(folder), settings);

  const first = await of(one);
  assert.equal(await of(two), first);
  assert.notEqual(await of(one, [{ normalize: true }]), first);
  writeFileSync(join(two, 'textual_fp16.onnx'), 'another precision');
  assert.equal(await of(two), first);
  writeFileSync(join(two, 'textual.onnx.data'), 'weights beside the graph');
  assert.notEqual(await of(two), first);
  rmSync(join(two, 'textual.onnx.data'));
  assert.equal(await of(two), first);
  writeFileSync(join(two, 'config.json'), '{}');
  assert.notEqual(await of(two), first);
});
