import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadFlow } from '../../src/flow/load.js';
import { planFlow } from '../../src/flow/plan.js';
import { EXIT_CONFIG } from '../../src/errors.js';
import { FlowProcess, ROOT } from '../support/flow-process.js';
import { readFixture } from '../support/samples.js';
import { cosine } from '../support/vectors.js';

const [TEXT] = readFixture<{ texts: { text: string; embedding: number[] }[] }>('skills', 'expected.json').texts;

/** The files of the published package, unchanged, and the executor that each names. */
const FLOWS = { 'onnx-flow.yml': 'clip_o', 'torch-flow.yml': 'clip_t', 'tensorrt-flow.yml': 'clip_r' };

describe('the flow files of clip-server 0.8.3', () => {
  let models: string;

  before(() => {
    models = mkdtempSync(join(tmpdir(), 'clipflow-models-'));
    // Their model is the published default; any model under its name will do.
    symlinkSync(join(ROOT, 'models/tiny-clip'), join(models, 'ViT-B-32-openai'));
  });
  after(() => rmSync(models, { recursive: true, force: true }));

  const serve = (file: string): Parameters<typeof FlowProcess.launch>[0] => ({
    flow: `test/fixtures/flows/${file}`,
    env: { CLIPFLOW_MODELS: models },
  });

  for (const [file, executor] of Object.entries(FLOWS)) {
    test(`${file} loads and plans`, () => {
      const flow = loadFlow({ path: join(ROOT, 'test/fixtures/flows', file) }, {});
      assert.deepEqual(flow.gateway.listen, [{ port: 51000, protocols: ['grpc', 'http', 'websocket'] }]);
      const { replicas } = planFlow(flow, { gpus: [] });
      assert.deepEqual(
        replicas.map(({ name }) => name),
        [`${executor}/rep-0`],
      );
      assert.equal(flow.executors[0]?.timeoutReadyMs, 3_000_000);
    });
  }

  for (const file of ['onnx-flow.yml', 'torch-flow.yml'] as const) {
    test(`${file} serves`, async () => {
      await using flow = await FlowProcess.start(serve(file));
      const { body } = await flow.post({ data: [{ text: TEXT?.text }], exec_endpoint: '/encode' });
      assert.ok(cosine(body.data[0]?.embedding ?? [], TEXT?.embedding ?? []) >= 0.9999);
      assert.deepEqual(
        body.routes.map(({ executor }) => executor),
        ['gateway', FLOWS[file]],
      );
      const substituted = flow.events.filter(({ event }) => event === 'executor_substituted');
      assert.deepEqual(
        substituted.map(({ executor, wanted, served_by }) => ({ executor, wanted, served_by })),
        file === 'onnx-flow.yml'
          ? []
          : [{ executor: 'clip_t', wanted: 'clip_server.executors.clip_torch', served_by: 'CLIPEncoder (ONNX)' }],
      );
    });
  }

  const gpu = existsSync('/dev/nvidiactl') && 'this machine has a GPU';
  test('tensorrt-flow.yml does not start without TensorRT, and says so', { skip: gpu }, async () => {
    const flow = FlowProcess.launch(serve('tensorrt-flow.yml'));
    assert.equal(await flow.exited(), EXIT_CONFIG);
    const failed = flow.events.find(({ code }) => code === 'DEVICE_UNAVAILABLE');
    assert.match(String(failed?.reason), /'tensorrt' cannot be had here/);
  });
});
