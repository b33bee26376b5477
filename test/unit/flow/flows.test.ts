import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { flowJsonSchema } from '../../../src/flow/json-schema.js';
import { loadFlow } from '../../../src/flow/load.js';

const FLOWS = new URL('../../../../flows/', import.meta.url);

describe('flows that ship', () => {
  for (const file of readdirSync(FLOWS).filter((name) => name.endsWith('.yml'))) {
    test(file, () => {
      const text = readFileSync(new URL(file, FLOWS), 'utf8');
      assert.match(text, /^# yaml-language-server: \$schema=\.\/flow\.schema\.json\n/);
      const flow = loadFlow({ text, name: file }, {});
      assert.equal(flow.gateway.listen[0]?.port, 51000);
      assert.deepEqual(flow.ignored, []);
    });
  }

  test('the schema for editors is current (npm run schema)', () => {
    const committed: unknown = JSON.parse(readFileSync(new URL('flow.schema.json', FLOWS), 'utf8'));
    assert.deepEqual(committed, flowJsonSchema());
  });
});
