import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { textFeeds } from '../../../../executors/clip/model/feeds.js';
import { readModelFolder } from '../../../../executors/clip/model/folder.js';
import { readGraphInputs } from '../../../../executors/clip/model/onnx-header.js';
import { fixture, makeFolder, norm, openSession, reference, referenceIds, tinyClip } from './support.js';

const textual = join(tinyClip, 'textual.onnx');
const visual = join(tinyClip, 'visual.onnx');
const mean: [number, number, number] = [0.48145466, 0.4578275, 0.40821073];
const std: [number, number, number] = [0.26862954, 0.26130258, 0.27577711];

const openClip = {
  'textual/model.onnx': textual,
  'visual/model.onnx': visual,
  'config.json': {
    embed_dim: 512,
    vision_cfg: { image_size: 64, layers: 5 },
    text_cfg: { context_length: 77, vocab_size: 49408 },
  },
  'textual/tokenizer.json': {},
  'textual/tokenizer_config.json': { pad_token: '<pad>', tokenizer_class: 'CLIPTokenizer' },
  'visual/preprocess_cfg.json': {
    size: [64, 64],
    mode: 'RGB',
    mean,
    std,
    interpolation: 'bicubic',
    resize_mode: 'shortest',
    fill_color: 0,
  },
};

const huggingFace = {
  'onnx/text_model.onnx': textual,
  'onnx/vision_model.onnx': visual,
  'tokenizer.json': {},
  'config.json': { model_type: 'clip', projection_dim: 512, text_config: {}, vision_config: { image_size: 64 } },
  'preprocessor_config.json': {
    crop_size: { height: 64, width: 64 },
    do_center_crop: true,
    do_resize: true,
    image_mean: mean,
    image_std: std,
    resample: 3,
    size: { shortest_edge: 64 },
  },
};

const image = { size: 64, mean, std, resize: 'shorter' as const, interpolation: 'bicubic' as const };

describe('readModelFolder', () => {
  test('fp16 takes the graphs in half precision, and says so where there are none', async (t) => {
    const half = { 'onnx/text_model_fp16.onnx': textual, 'onnx/vision_model_fp16.onnx': visual };
    const folder = await makeFolder(t, { ...huggingFace, ...half });
    const spec = await readModelFolder(folder, 'fp16');
    assert.equal(basename(spec.visual), 'vision_model_fp16.onnx');
    assert.equal(basename((await readModelFolder(folder)).visual), 'vision_model.onnx');
    await assert.rejects(readModelFolder(tinyClip, 'fp16'), { code: 'INVALID_MODEL', message: /textual_fp16\.onnx/ });
  });

  const layouts = { 'open-clip': openClip, 'hugging-face': huggingFace };
  for (const [layout, files] of Object.entries({ 'clip-as-service': undefined, ...layouts })) {
    test(`${layout}: the reference's embeddings come out`, async (t) => {
      const folder = files === undefined ? tinyClip : await makeFolder(t, files);
      const spec = await readModelFolder(folder);
      assert.equal(spec.layout, layout);
      assert.equal(spec.contextLength, 77);
      assert.equal(spec.embedDim, 512);
      assert.deepEqual(spec.image, image);
      const session = await openSession(t, { path: spec.textual });
      const { dims, data } = await session.run(textFeeds(session, referenceIds, spec.contextLength, 0));
      assert.deepEqual(dims, [referenceIds.length, 512]);
      for (const [i, text] of reference.texts.entries()) {
        const row = data.subarray(i * 512, (i + 1) * 512);
        const tolerance = 2e-3 * text.norm; // as reference.json says
        assert.ok(Math.abs(norm(row) - text.norm) < tolerance);
        text.first16.forEach((value, j) => assert.ok(Math.abs(value - (row[j] ?? NaN)) < tolerance));
      }
    });
  }

  test('CLIP-as-service without config.json: sizes from the graphs, the vocabulary that ships', async (t) => {
    const folder = await makeFolder(t, { 'textual.onnx': textual, 'visual.onnx': visual });
    const spec = await readModelFolder(folder);
    assert.equal(spec.name, basename(folder));
    assert.equal(spec.contextLength, 77);
    assert.deepEqual(spec.image, image);
    assert.deepEqual(spec.tokenizer, { kind: 'clip-bpe', vocab: join(tinyClip, 'bpe_simple_vocab_16e6.txt.gz') });
    assert.equal(spec.scores, undefined);
  });

  test("tiny-clip's config.json", async () => {
    const spec = await readModelFolder(tinyClip);
    assert.equal(spec.name, 'tiny-scenes');
    assert.deepEqual(spec.scores, { kind: 'softmax', scale: 45.26 });
  });

  test('open_clip: SigLIP squashes and canonicalises', async (t) => {
    const folder = await makeFolder(t, {
      ...openClip,
      'config.json': {
        vision_cfg: { image_size: 64 },
        text_cfg: { context_length: 77, tokenizer_kwargs: { clean: 'canonicalize' } },
      },
      'visual/preprocess_cfg.json': {
        size: 64,
        mean: [0.5, 0.5, 0.5],
        std,
        interpolation: 'bilinear',
        resize_mode: 'squash',
      },
    });
    const spec = await readModelFolder(folder);
    const path = join(folder, 'textual/tokenizer.json');
    assert.deepEqual(spec.tokenizer, { kind: 'tokenizer-json', path, padToken: '<pad>', clean: 'canonicalize' });
    assert.deepEqual(spec.image, { ...image, mean: [0.5, 0.5, 0.5], resize: 'squash', interpolation: 'bilinear' });
  });

  test('open_clip: files at the top of the folder', async (t) => {
    const { 'textual/tokenizer.json': tokenizer, 'visual/preprocess_cfg.json': preprocessing, ...rest } = openClip;
    const folder = await makeFolder(t, { ...rest, 'tokenizer.json': tokenizer, 'preprocess_cfg.json': preprocessing });
    const spec = await readModelFolder(folder);
    assert.equal(spec.tokenizer.kind === 'tokenizer-json' && spec.tokenizer.path, join(folder, 'tokenizer.json'));
  });

  test('Hugging Face: SigLIP by a square size', async (t) => {
    const folder = await makeFolder(t, {
      ...huggingFace,
      'config.json': { model_type: 'siglip', text_config: { max_position_embeddings: 77 } },
      'preprocessor_config.json': { size: { height: 64, width: 64 }, image_mean: mean, image_std: std, resample: 2 },
    });
    const spec = await readModelFolder(folder);
    assert.deepEqual(spec.image, { ...image, resize: 'squash', interpolation: 'bilinear' });
  });

  const wrong: [string, Record<string, string | object>, RegExp][] = [
    ['an empty folder', {}, /no model in the folder .*textual\.onnx and visual\.onnx.*onnx\/text_model\.onnx/],
    ['one tower only', { 'textual.onnx': textual }, /has textual\.onnx but lacks visual\.onnx/],
    ['no config.json', { ...openClip, 'config.json': '/does/not/exist' }, /lacks config\.json/],
    [
      'a wrong field',
      { ...openClip, 'visual/preprocess_cfg.json': { size: 64, mean: 'x' } },
      /preprocess_cfg\.json.*mean/s,
    ],
    [
      'a letterbox',
      {
        ...openClip,
        'visual/preprocess_cfg.json': { ...openClip['visual/preprocess_cfg.json'], resize_mode: 'longest' },
      },
      /resize_mode/,
    ],
    [
      'a crop smaller than the image',
      {
        ...huggingFace,
        'preprocessor_config.json': { ...huggingFace['preprocessor_config.json'], size: { shortest_edge: 73 } },
      },
      /shortest_edge.*73/,
    ],
    [
      'a size that the graph does not take',
      { 'textual.onnx': textual, 'visual.onnx': visual, 'config.json': { image_size: 224 } },
      /image size 224, but .*visual\.onnx takes 64/,
    ],
    [
      'a context that nothing gives',
      { 'textual.onnx': fixture('text-int64.onnx'), 'visual.onnx': visual },
      /Neither .* give the context length/,
    ],
    [
      'a text graph for images',
      { 'textual.onnx': visual, 'visual.onnx': visual },
      /text graph has the inputs pixel_values/,
    ],
    [
      'a graph that is none',
      { 'textual.onnx': join(tinyClip, 'config.json'), 'visual.onnx': visual },
      /not an ONNX model/,
    ],
  ];
  for (const [name, files, message] of wrong) {
    test(`INVALID_MODEL: ${name}`, async (t) => {
      const folder = await makeFolder(t, files);
      await assert.rejects(readModelFolder(folder), { code: 'INVALID_MODEL', message });
    });
  }
});

describe('readGraphInputs', () => {
  test('agrees with ONNX Runtime', async (t) => {
    for (const path of [textual, visual, fixture('text-int64.onnx'), fixture('image-float16.onnx')]) {
      const session = await openSession(t, { path });
      assert.deepEqual(await readGraphInputs(path), session.inputs);
    }
  });

  test('a file that was cut short', async (t) => {
    const folder = await makeFolder(t, {});
    const path = join(folder, 'cut.onnx');
    await writeFile(path, (await readFile(visual)).subarray(0, 100_000));
    await assert.rejects(readGraphInputs(path), { code: 'INVALID_MODEL', message: /ends at byte 100000/ });
  });

  test('an empty file', async (t) => {
    const path = join(await makeFolder(t, {}), 'empty.onnx');
    await writeFile(path, '');
    await assert.rejects(readGraphInputs(path), { code: 'INVALID_MODEL' });
  });
});
