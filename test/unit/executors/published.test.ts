import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { servedBy, type Served } from '../../../executors/published.js';
import type { ExecutorConfig } from '../../../src/flow/flow.js';
import { loadFlow } from '../../../src/flow/load.js';

function served(module: string, settings = ''): Served {
  const text = `
jtype: Flow
executors:
  - uses:
      jtype: CLIPEncoder
      with: { ${settings} }
      metas: { py_modules: [${module}] }
`;
  return servedBy(loadFlow({ text }, {}).executors[0] as ExecutorConfig);
}

describe('executors of CLIP-as-service', () => {
  const MODEL = { name: 'ViT-B-32::openai' };

  test('each runtime has its published defaults', () => {
    assert.deepEqual(served('clip_server.executors.clip_onnx'), { uses: 'CLIPEncoder', with: MODEL });
    assert.deepEqual(served('clip_server.executors.clip_tensorrt').with, { ...MODEL, device: 'tensorrt' });
    assert.deepEqual(served('clip_server.executors.clip_torch'), {
      uses: 'CLIPEncoder',
      with: MODEL,
      substitutes: 'clip_server.executors.clip_torch',
    });
  });

  test('the flow’s settings stand over them, and jit of torch means nothing', () => {
    const settings = 'name: "RN50::openai", device: cuda';
    const wanted = { name: 'RN50::openai', device: 'cuda' };
    assert.deepEqual(served('clip_server.executors.clip_tensorrt', settings).with, wanted);
    assert.deepEqual(served('clip_server.executors.clip_torch', `${settings}, jit: true`).with, wanted);
  });

  test('a module may be given as its path', () => {
    assert.equal(served('clip_server/executors/clip_tensorrt.py').with.device, 'tensorrt');
  });

  test('other modules change nothing', () => {
    assert.deepEqual(served('mine.clip_onnx', 'name: tiny-clip'), { uses: 'CLIPEncoder', with: { name: 'tiny-clip' } });
  });
});
