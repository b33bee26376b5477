import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  findModel,
  MODELS,
  nearestNames,
  requireModel,
  selectFiles,
} from '../../../../executors/clip/registry/registry.js';

/** CLIP-as-service 0.8.3's table: docs, "Model support"; [name, dimension, image size]. */
const CLIP_AS_SERVICE: [string, number, number][] = [
  ['RN50::openai', 1024, 224],
  ['RN50::yfcc15m', 1024, 224],
  ['RN50::cc12m', 1024, 224],
  ['RN101::openai', 512, 224],
  ['RN101::yfcc15m', 512, 224],
  ['RN50x4::openai', 640, 288],
  ['RN50x16::openai', 768, 384],
  ['RN50x64::openai', 1024, 448],
  ['ViT-B-32::openai', 512, 224],
  ['ViT-B-32::laion2b_e16', 512, 224],
  ['ViT-B-32::laion400m_e31', 512, 224],
  ['ViT-B-32::laion400m_e32', 512, 224],
  ['ViT-B-32::laion2b-s34b-b79k', 512, 224],
  ['ViT-B-16::openai', 512, 224],
  ['ViT-B-16::laion400m_e31', 512, 224],
  ['ViT-B-16::laion400m_e32', 512, 224],
  ['ViT-B-16-plus-240::laion400m_e31', 640, 240],
  ['ViT-B-16-plus-240::laion400m_e32', 640, 240],
  ['ViT-L-14::openai', 768, 224],
  ['ViT-L-14::laion400m_e31', 768, 224],
  ['ViT-L-14::laion400m_e32', 768, 224],
  ['ViT-L-14::laion2b-s32b-b82k', 768, 224],
  ['ViT-L-14-336::openai', 768, 336],
  ['ViT-H-14::laion2b-s32b-b79k', 1024, 224],
  ['ViT-g-14::laion2b-s12b-b42k', 1024, 224],
  ['M-CLIP/LABSE-Vit-L-14', 768, 224],
  ['M-CLIP/XLM-Roberta-Large-Vit-B-32', 512, 224],
  ['M-CLIP/XLM-Roberta-Large-Vit-B-16Plus', 640, 240],
  ['M-CLIP/XLM-Roberta-Large-Vit-L-14', 768, 224],
];

/** Names by which CLIP-as-service, its ONNX table and Immich called some of them. */
const OTHER_NAMES = {
  RN50: 'RN50::openai',
  RN50x64: 'RN50x64::openai',
  'ViT-B/32': 'ViT-B-32::openai',
  'ViT-B/16': 'ViT-B-16::openai',
  'ViT-L/14': 'ViT-L-14::openai',
  'ViT-L/14@336px': 'ViT-L-14-336::openai',
  'ViT-B-32::laion2B-s34B-b79K': 'ViT-B-32::laion2b-s34b-b79k',
  'ViT-g-14::laion2B-s12B-b42K': 'ViT-g-14::laion2b-s12b-b42k',
  'ViT-B-32__openai': 'ViT-B-32::openai',
  'LABSE-Vit-L-14': 'M-CLIP/LABSE-Vit-L-14',
  'ViT-B-16-SigLIP__webli': 'ViT-B-16-SigLIP::webli',
  'xlm-roberta-large-ViT-H-14::frozen_laion5b_s13b_b90k': 'XLM-Roberta-Large-ViT-H-14::frozen_laion5b_s13b_b90k',
};

describe('the registry', () => {
  test("has CLIP-as-service's models with their sizes", () => {
    for (const [name, dimension, size] of CLIP_AS_SERVICE) {
      const model = requireModel(name);
      assert.deepEqual(
        [model.name, model.dimension, model.image_size, model.context_length],
        [name, dimension, size, 77],
      );
    }
  });

  test('knows the other names', () => {
    for (const [name, model] of Object.entries(OTHER_NAMES)) assert.equal(findModel(name)?.name, model);
  });

  test('no name and no repository means two models', () => {
    const names = MODELS.flatMap(({ name, aliases }) => [name, ...aliases]).map((name) => name.toLowerCase());
    assert.equal(new Set(names).size, names.length);
    assert.equal(new Set(MODELS.map(({ repository }) => repository)).size, MODELS.length);
  });

  test('the size in a name is the size of the images', () => {
    for (const { name, image_size } of MODELS) {
      const [, size] = /-(240|256|336|378|384|512)(?=::|-quickgelu)/.exec(name) ?? [];
      if (size !== undefined) assert.equal(image_size, Number(size), name);
    }
  });

  test('SigLIP reads 64 tokens, squashed sizes by name', () => {
    const siglip = MODELS.filter(({ family }) => family === 'siglip' || family === 'siglip2');
    assert.equal(siglip.length, 20);
    assert.ok(siglip.every(({ context_length }) => context_length === 64));
    assert.equal(requireModel('ViT-SO400M-16-SigLIP2-384__webli').dimension, 1152);
  });

  test('an unknown name gets its neighbours', () => {
    assert.equal(nearestNames('ViT-B-32:openai')[0], 'ViT-B-32::openai');
    assert.throws(() => requireModel('ViT-L/14@336'), {
      code: 'INVALID_MODEL',
      message: /no model "ViT-L\/14@336"; the nearest are ViT-L-14-336::openai/,
    });
  });

  test('of a repository, both towers are fetched without other formats, the graphs last', () => {
    const model = requireModel('ViT-H-14::laion2b-s32b-b79k');
    const others = ['.gitattributes', 'README.md', 'visual/model.armnn', 'textual/rknpu/rk3588/model.rknn', 'x.onnx'];
    const weights = ['visual/model.onnx.data', 'textual/Constant_12_attr__value', 'textual/special_tokens_map.json'];
    const [parts, graphs] = selectFiles(model, [...model.files, ...others, ...weights]);
    assert.deepEqual(graphs, ['textual/model.onnx', 'visual/model.onnx']);
    assert.deepEqual([...(parts ?? []), ...graphs].sort(), [...model.files, ...weights].sort());
    assert.throws(() => selectFiles(model, ['config.json']), { code: 'INVALID_MODEL', message: /visual\/model\.onnx/ });
  });
});
