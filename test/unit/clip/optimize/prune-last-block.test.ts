import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { embedPixels } from '../../../../executors/clip/model/embed.js';
import { imageSample } from '../../../../executors/clip/model/feeds.js';
import { dynamicLength } from '../../../../executors/clip/model/optimize/dynamic-length.js';
import type { Rewriting } from '../../../../executors/clip/model/optimize/graph-parts.js';
import { optimizeImage } from '../../../../executors/clip/model/optimize/image-tower.js';
import { optimize, type Optimization } from '../../../../executors/clip/model/optimize/optimize.js';
import { pruneLastBlock } from '../../../../executors/clip/model/optimize/prune-last-block.js';
import type { Session } from '../../../../executors/clip/model/session.js';
import { fixture as modelFixture, openSession, tinyClip, vitB32 } from '../model/support.js';
import {
  assertSurvivesDamage,
  cosine,
  fixture,
  openText,
  reasonAgainst,
  recorded,
  rewritten,
  torch,
  vectorsOf,
} from './support.js';

const HIGHEST = pruneLastBlock({ at: 'highest', ids: 'input_ids' });
const FIRST = pruneLastBlock({ at: 'first' });
const DYNAMIC = dynamicLength({ name: 'input_ids', length: 77 });
/** Pixels of a side in the fixtures' pictures. */
const SIDE = 12;
const causal = await readFile(fixture('causal.onnx'));

function openImage(t: TestContext, path: string, size: number, model?: Uint8Array<ArrayBuffer>): Promise<Session> {
  return openSession(t, { path, sample: imageSample(size), ...(model && { model }) });
}

function embedImages(session: Session, pictures: readonly number[][], size: number): Promise<Float32Array[]> {
  const pixels = session.allocate('float32', pictures.length * 3 * size * size);
  pixels.set(pictures.flat());
  return embedPixels(session, (feeds) => session.run(feeds), pixels, pictures.length, size);
}

function assertAlike(vectors: readonly Float32Array[], wanted: readonly ArrayLike<number>[]): void {
  assert.equal(vectors.length, wanted.length);
  vectors.forEach((vector, row) => assert.ok(cosine(vector, wanted[row] ?? []) > 0.999999, `row ${row}`));
  assert.ok(cosine(wanted[0] ?? [], wanted[1] ?? []) < 0.999, 'vectors must differ for this to say anything');
}

describe("torch's export of a causal text tower", () => {
  const texts = torch.ids.map((ids) => Int32Array.from(ids));

  test('gives what torch computes, at 77 tokens', async (t) => {
    const session = await openText(t, fixture('causal.onnx'), rewritten(causal, HIGHEST));
    assertAlike(await vectorsOf(session, texts, 77), torch.vectors);
  });

  test('gives what torch computes, at any length when that is dynamic', async (t) => {
    const session = await openText(t, fixture('causal.onnx'), rewritten(causal, DYNAMIC, HIGHEST));
    assertAlike(await vectorsOf(session, texts, 77), torch.vectors);
    const short = texts.filter(({ length }) => length <= 16);
    assertAlike(await vectorsOf(session, short, 16), torch.vectors.slice(0, short.length));
  });
});

for (const name of ['visual', 'visual-batch-first']) {
  test(`torch's export of a ViT, ${name}.onnx, gives what torch computes`, async (t) => {
    const path = fixture(`${name}.onnx`);
    const session = await openImage(t, path, SIDE, rewritten(await readFile(path), FIRST));
    assertAlike(await embedImages(session, torch.pictures, SIDE), torch.embeddings[name] ?? []);
  });
}

for (const [folder, size] of [
  [tinyClip, 64],
  [vitB32, 224],
] as const) {
  test(`${basename(folder)} gives the vectors of the untouched graphs`, async (t) => {
    const [visual, textual] = [join(folder, 'visual.onnx'), join(folder, 'textual.onnx')];
    const image = await openImage(t, visual, size, rewritten(await readFile(visual), FIRST));
    const pictures = [2, 3, 5].map((step) => Array.from({ length: 3 * size * size }, (_, i) => Math.sin(step * i * i)));
    const bareImage = await openImage(t, visual, size);
    assertAlike(await embedImages(image, pictures, size), await embedImages(bareImage, pictures, size));

    const text = await openText(t, textual, rewritten(await readFile(textual), HIGHEST));
    const texts = [2, 9, 77].map((length) =>
      Int32Array.of(49406, ...Array.from({ length: length - 2 }, (_, i) => 320 + 97 * i), 49407),
    );
    assertAlike(await vectorsOf(text, texts, 77), await vectorsOf(await openText(t, textual), texts, 77));
  });
}

describe('a graph is loaded again as it was', () => {
  test('when its vector is the mean of all positions', async (t) => {
    const path = fixture('visual-mean.onnx');
    const bare = await openImage(t, path, SIDE);
    const wanted = await embedImages(bare, torch.pictures, SIDE);
    const { log, logged } = recorded();
    const open = (model?: Uint8Array<ArrayBuffer>) => openImage(t, path, SIDE, model);
    const { session, pruned } = await optimizeImage(bare, SIDE, { path, log, open });
    assert.equal(pruned, false);
    assert.equal(logged[0]?.event, 'last_block_not_pruned');
    assert.match(logged[0].reason ?? '', /vectors differ/);
    assertAlike(await embedImages(session, torch.pictures, SIDE), wanted);
  });

  test('but for what else it can be spared', async (t) => {
    const path = fixture('causal.onnx');
    const bare = await openText(t, path);
    const text = Int32Array.from(torch.ids[4] ?? []);
    const [wanted = new Float32Array()] = await vectorsOf(bare, [text], 77);
    const { applied, reasons, session } = await optimize(
      bare,
      { path, log: recorded().log, open: (model) => openText(t, path, model) },
      new Map<Optimization, Rewriting>([
        ['prune_last_block', FIRST],
        ['trim_text', DYNAMIC],
      ]),
      async (opened) => {
        const [vector = new Float32Array()] = await vectorsOf(opened, [text], 77);
        return cosine(vector, wanted) > 0.9999 ? undefined : 'another vector';
      },
    );
    assert.deepEqual(applied, ['trim_text']);
    assert.deepEqual([...reasons], [['prune_last_block', 'another vector']]);
    assert.equal((await vectorsOf(session, [text], 16)).length, 1);
  });
});

describe('what cannot be rewritten', () => {
  const reason = (model: Uint8Array): string => reasonAgainst(model, HIGHEST);

  test('is told', async () => {
    assert.match(reason(await readFile(modelFixture('text-int64.onnx'))), /opset 8; expected 12/);
    assert.match(reason(await readFile(fixture('masked.onnx'))), /no attention/);
    assert.match(reason(new Uint8Array()), /opset 0; expected 12/);
  });

  test('a damaged file gives a model or a reason, and throws nothing', () => {
    assertSurvivesDamage(causal, HIGHEST);
  });
});
