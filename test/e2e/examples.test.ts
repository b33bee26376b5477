import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlowProcess } from '../support/flow-process.js';
import { sampleDocument } from '../support/samples.js';

test('flows/examples/upper.yml: an executor of one’s own in TypeScript, before the encoder', async () => {
  await using flow = await FlowProcess.start({ flow: 'flows/examples/upper.yml' });
  const { body } = await flow.post({ data: [{ text: 'a red circle' }], exec_endpoint: '/upper' });
  assert.equal(body.data[0]?.text, 'A RED CIRCLE');
  // CLIP's tokenizer lowers case, so the encoder behind it gives the same embedding either way.
  const plain = await flow.post({ data: [{ text: 'a red circle' }], exec_endpoint: '/encode' });
  assert.deepEqual(body.data[0]?.embedding, plain.body.data[0]?.embedding);
  assert.deepEqual(
    body.routes.map(({ executor }) => executor),
    ['gateway', 'upper', 'clip'],
  );
});

test('flows/examples/branches.yml: texts and images take their own branches and come back joined, in order', async () => {
  await using flow = await FlowProcess.start({ flow: 'flows/examples/branches.yml' });
  const image = { ...sampleDocument('000.jpg'), mime_type: 'image/jpeg' };
  const data = [{ id: 'a', text: 'a red circle' }, image, { id: 'b', text: 'two hearts' }, { id: 'c' }];
  const { status, body } = await flow.post({ data, exec_endpoint: '/encode' });
  assert.equal(status, 200);
  assert.deepEqual(
    body.data.map(({ id, embedding }) => [id, embedding?.length ?? 0]),
    [
      ['a', 512],
      ['000.jpg', 512],
      ['b', 512],
      ['c', 0],
    ],
  );
  const metrics = await (await fetch(`${flow.url}/metrics`)).text();
  assert.match(metrics, /clipflow_batch_documents_count\{executor="texts"\} [12]\b/);
  assert.match(metrics, /clipflow_batch_documents_count\{executor="images"\} 1\b/);
});
