import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FlowProcess, ROOT } from '../support/flow-process.js';
import { NatsServer } from '../support/nats-server.js';
import { readFixture, sampleDocument } from '../support/samples.js';
import { cosine, median } from '../support/vectors.js';

interface Task {
  skill: 'shape' | 'colour' | 'count' | 'relation';
  file: string;
  prompts: string[];
  /** The prompt that the model prefers when Python runs it directly. */
  answer: number;
}

/** Computed by Python: PIL, ftfy and onnxruntime (test/fixtures/skills/make.py, test/fixtures/images/make.py). */
const { texts, tasks } = readFixture<{ texts: { text: string; embedding: number[] }[]; tasks: Task[] }>(
  'skills',
  'expected.json',
);
const images = readFixture<Record<string, number[]>>('images', 'embeddings.json');
const reference = JSON.parse(readFileSync(join(ROOT, 'models/tiny-clip/reference.json'), 'utf8')) as {
  texts: { text: string; norm: number; first16: number[] }[];
  images: { file: string; norm: number; first16: number[] }[];
};

function suite(name: string, start: () => Promise<{ flow: FlowProcess; stop: () => Promise<void> }>): void {
  describe(`the default flow, ${name}`, () => {
    let flow: FlowProcess;
    let stop: () => Promise<void>;

    before(async () => {
      ({ flow, stop } = await start());
    });
    after(() => stop());

    async function embed(docs: object[]): Promise<number[][]> {
      const { status, body } = await flow.post({ data: docs, exec_endpoint: '/encode' });
      assert.equal(status, 200);
      assert.equal(body.header.status, null);
      return body.data.map(({ embedding }) => embedding ?? []);
    }

    test('texts have the reference embeddings', async (t) => {
      const ours = await embed(texts.map(({ text }) => ({ text })));
      // An empty text counts as no content and comes back as it was, as published.
      assert.deepEqual(
        texts.filter((_, i) => ours[i]?.length === 0).map(({ text }) => text),
        [''],
      );
      const cosines = texts.flatMap(({ text, embedding }, i) =>
        text === '' ? [] : [cosine(ours[i] ?? [], embedding)],
      );
      t.diagnostic(`text cosines: least ${Math.min(...cosines).toFixed(7)}, median ${median(cosines).toFixed(7)}`);
      assert.ok(cosines.every((value) => value >= 0.9999));
      reference.texts.forEach(({ text, norm, first16 }, i) => {
        if (text === '') return;
        assert.ok(cosine(ours[i]?.slice(0, 16) ?? [], first16) >= 0.9999);
        assert.ok(Math.abs(Math.hypot(...(ours[i] ?? [])) / norm - 1) < 2e-3);
      });
    });

    test('images have the reference embeddings', async (t) => {
      const files = Object.keys(images);
      const ours = await embed(files.map(sampleDocument));
      const cosines = files.map((file, i) => cosine(ours[i] ?? [], images[file] ?? []));
      t.diagnostic(`image cosines: least ${Math.min(...cosines).toFixed(6)}, median ${median(cosines).toFixed(6)}`);
      assert.ok(cosines.every((value) => value >= 0.99));
      assert.ok(median(cosines) >= 0.9995);
      for (const { file, norm, first16 } of reference.images) {
        const vector = ours[files.indexOf(file.replace('samples/', ''))] ?? [];
        assert.ok(cosine(vector.slice(0, 16), first16) >= 0.99, file);
        assert.ok(Math.abs(Math.hypot(...vector) / norm - 1) < 2e-2, file);
      }
    });

    test('zero-shot shape, colour, count and relation equal the model run directly', async (t) => {
      const vectors = new Map<string, number[]>();
      const files = Object.keys(images);
      (await embed(files.map(sampleDocument))).forEach((vector, i) => vectors.set(files[i] ?? '', vector));
      const prompts = [...new Set(tasks.flatMap((task) => task.prompts))];
      (await embed(prompts.map((text) => ({ text })))).forEach((vector, i) => vectors.set(prompts[i] ?? '', vector));
      const counts: Record<string, number> = {};
      for (const { skill, file, prompts: choices, answer } of tasks) {
        const scores = choices.map((prompt) => cosine(vectors.get(prompt) ?? [], vectors.get(file) ?? []));
        assert.equal(scores.indexOf(Math.max(...scores)), answer, `${skill} of ${file}`);
        counts[skill] = (counts[skill] ?? 0) + 1;
      }
      t.diagnostic(`equal answers: ${JSON.stringify(counts)}`);
    });

    test('both replicas take work', async () => {
      const docs = Array.from({ length: 40 }, (_, i) => ({ text: `text ${i}` }));
      await Promise.all(docs.map((doc) => embed([doc])));
      const metrics = await (await fetch(`${flow.url}/metrics`)).text();
      assert.match(metrics, /clipflow_replicas\{executor="clip",state="ready"\} 2/);
      assert.equal((await flow.replicas('clip')).filter(({ state }) => state === 'ready').length, 2);
    });
  });
}

suite('embedded transport', async () => {
  const flow = await FlowProcess.start();
  return { flow, stop: async () => assert.equal(await flow.stop(), 0) };
});

suite('NATS transport', async () => {
  const nats = await NatsServer.start();
  const flow = await FlowProcess.start({ env: { CLIPFLOW_TRANSPORT: nats.address } });
  return {
    flow,
    stop: async () => {
      assert.equal(await flow.stop(), 0);
      await nats.stop();
    },
  };
});
