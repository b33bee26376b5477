import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { ClipModel } from '../../../../executors/clip/clip-model.js';
import { fixedBatch } from '../../../../executors/clip/model/graph.js';
import { readGraphInputs } from '../../../../executors/clip/model/onnx-header.js';
import { Document } from '../../../../src/document/document.js';
import { makeFolder, norm, silent, tinyClip } from './support.js';

const VOCABULARY = 'bpe_simple_vocab_16e6.txt.gz';

const Embedded = z.object({ norm: z.number(), first16: z.array(z.number()) });

/** By Python's onnxruntime. */
const reference = z
  .object({
    texts: z.array(Embedded.extend({ text: z.string() })),
    images: z.array(Embedded.extend({ file: z.string() })),
  })
  .parse(JSON.parse(await readFile(join(tinyClip, 'reference.json'), 'utf8')));

/**
 * A graph whose batch is fixed at one, as Immich exports them. In the protobuf a dimension `batch` (dim_param, field 2)
 * becomes a 1 (dim_value, field 1), written as a varint of as many bytes.
 */
function fixBatch(graph: Buffer): Buffer {
  const fixed = Buffer.from(graph);
  const named = Buffer.from('\x0a\x07\x12\x05batch', 'latin1');
  const one = Buffer.from([0x0a, 0x07, 0x08, 0x81, 0x80, 0x80, 0x80, 0x80, 0x00]);
  for (let at = fixed.indexOf(named); at >= 0; at = fixed.indexOf(named, at)) one.copy(fixed, at);
  return fixed;
}

test('a graph that takes one document at a time serves batches', async (t) => {
  const folder = await makeFolder(t, { [VOCABULARY]: join(tinyClip, VOCABULARY) });
  for (const name of ['textual.onnx', 'visual.onnx']) {
    await writeFile(join(folder, name), fixBatch(await readFile(join(tinyClip, name))));
    assert.equal(fixedBatch(await readGraphInputs(join(folder, name))), 1);
  }
  const model = await ClipModel.load({
    folder,
    device: 'cpu',
    intraOpNumThreads: 2,
    batchSize: 8,
    decoders: 2,
    imageLimits: { pixels: 1e7, bytes: 1e7 },
    loadUri: () => Promise.reject(new Error('no uri here')),
    log: silent,
    die: (error) => assert.fail(error),
  });
  t.after(() => model.close());
  const texts = reference.texts.slice(0, 3);
  const images = reference.images.slice(0, 3);
  const docs = await Promise.all(
    images.map(async ({ file }) => new Document({ blob: await readFile(join(tinyClip, file)) })),
  );
  const results = [
    ...(await model.embedTexts(texts.map(({ text }) => text))),
    ...(await model.embedImages(docs, new AbortController())),
  ];
  [...texts, ...images].forEach((expected, i) => {
    const got = results[i];
    assert.ok(got instanceof Float32Array);
    const tolerance = 2e-2 * expected.norm;
    assert.ok(Math.abs(norm(got) - expected.norm) < tolerance);
    expected.first16.forEach((value, j) => assert.ok(Math.abs(value - (got[j] ?? NaN)) < tolerance));
  });
});
