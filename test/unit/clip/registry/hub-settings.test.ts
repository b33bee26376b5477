import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hubSettings } from '../../../../executors/clip/registry/hub-settings.js';

// As documented for huggingface_hub: package_reference/environment_variables.
test('the variables of huggingface_hub', () => {
  assert.deepEqual(hubSettings({}), {
    endpoint: 'https://huggingface.co',
    offline: false,
    cache: join(homedir(), '.cache/huggingface/hub'),
  });
  const env = { HF_ENDPOINT: 'http://mirror:8080/hub/', HF_TOKEN: ' hf_x\n', HF_HUB_OFFLINE: 'yes' };
  assert.deepEqual(hubSettings({ ...env, HF_HOME: '/data' }), {
    endpoint: 'http://mirror:8080/hub',
    token: 'hf_x',
    offline: true,
    cache: '/data/hub',
  });
  assert.equal(hubSettings({ HF_HUB_CACHE: '/c', HF_HOME: '/data' }).cache, '/c');
  assert.equal(hubSettings({ XDG_CACHE_HOME: '/x' }).cache, '/x/huggingface/hub');
  assert.equal(hubSettings({ HF_HUB_OFFLINE: '0' }).offline, false);
  assert.throws(() => hubSettings({ HF_ENDPOINT: 'mirror' }), {
    code: 'INVALID_CONFIG',
    message: /HF_ENDPOINT is "mirror"/,
  });
});
