import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FlowProcess } from '../support/flow-process.js';
import { tokensFile } from '../support/tokens.js';

test('bearer tokens: required for documents, not for health; limits per token; the file is read again when it changes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'clipflow-test-'));
  const env = tokensFile(folder, { alice: 'a-secret', bob: { token: 'b-secret', max_documents: 2 } });
  await using flow = await FlowProcess.start({ env });
  const encode = async (authorization?: string, docs = 1): Promise<number> => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const body = JSON.stringify({ data: Array(docs).fill('a red circle') });
    return (await fetch(`${flow.url}/encode`, { method: 'POST', headers, body })).status;
  };

  assert.equal(await encode(), 401);
  assert.equal(await encode('wrong'), 401);
  assert.equal(await encode('a-secret'), 200); // As clip-client sends it.
  assert.equal(await encode('Bearer a-secret'), 200);
  assert.equal(await encode('Bearer a-secre'), 401);
  assert.equal((await fetch(`${flow.url}/status`)).status, 401);
  for (const open of ['/healthz', '/readyz', '/metrics', '/'])
    assert.equal((await fetch(flow.url + open)).status, 200, open);

  const together = await Promise.all(Array.from({ length: 8 }, () => encode('b-secret', 2)));
  assert.ok(together.includes(200) && together.includes(429), String(together));
  assert.equal(await encode('b-secret', 2), 200);

  const from = flow.events.length;
  tokensFile(folder, { carol: 'c-secret' });
  await flow.event(({ event }) => event === 'tokens_reloaded', from);
  assert.equal(await encode('a-secret'), 401);
  assert.equal(await encode('c-secret'), 200);

  const broken = flow.events.length;
  writeFileSync(env.CLIPFLOW_TOKENS_FILE, 'tokens: [{ name: dave }]');
  await flow.event(({ event }) => event === 'tokens_not_reloaded', broken);
  assert.equal(await encode('c-secret'), 200); // The last good file stays in force.
  assert.doesNotMatch(flow.stderr, /secret/);
  rmSync(folder, { recursive: true });
});
