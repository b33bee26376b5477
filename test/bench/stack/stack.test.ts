import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { loadClipBpe } from '../../../executors/clip/text/clip-bpe.js';
import { PACKAGE_ROOT } from '../../../src/version.js';
import { LatencyComparison, type Latency } from './latency.js';
import { BATCH } from './sides.js';
import { ThroughputComparison, type Throughput } from './throughput.js';
import { latencyTable, throughputTable } from '../report.js';
import { contents } from '../workload.js';

describe('the stack suite', () => {
  test('has long texts that fill the context and are not cut', async () => {
    const tokenizer = await loadClipBpe(join(PACKAGE_ROOT, 'models/tiny-clip/bpe_simple_vocab_16e6.txt.gz'), 1000);
    for (const content of contents('long-text')) {
      assert.ok('text' in content);
      assert.equal(tokenizer.encode(content.text).length, 77, content.text);
    }
  });

  test('measures two replicas beside two bare loops that share the documents', async () => {
    await using comparison = await ThroughputComparison.start({ model: 'tiny-clip', protocol: 'grpc', replicas: 2 });
    const effort = { documentsPerRequest: [1, BATCH], pairs: 2, legSeconds: 0, minBatches: 1 };
    const rows: Throughput[] = [];
    for await (const row of comparison.measure('long-text', effort)) rows.push(row);
    assert.deepEqual(
      rows.map(({ replicas, documents, documentsPerRequest }) => [replicas, documents, documentsPerRequest]),
      [
        [2, 2 * BATCH, 1],
        [2, 2 * BATCH, BATCH],
      ],
    );
    for (const { bare, stack, ratio } of rows) {
      assert.deepEqual([bare.length, stack.length], [2, 2]);
      assert.ok(ratio > 0);
    }
    assert.equal(throughputTable(rows).split('\n').length, 1 + rows.length);
  });
});

describe('the latency suite', () => {
  test('measures one document at a time, on three sides and at two paces', async () => {
    await using comparison = await LatencyComparison.start({ model: 'tiny-clip', protocol: 'grpc', replicas: 1 });
    const rows: Latency[] = [];
    for await (const row of comparison.measure('image', { rounds: 2, singles: 4, warmUp: 16 })) rows.push(row);
    assert.deepEqual(
      rows.map(({ pauseMs }) => pauseMs),
      [0, 5],
    );
    for (const { bareMs, stackMs, minimalMs, differenceMs } of rows) {
      assert.deepEqual([bareMs.length, stackMs.length, minimalMs.length], [2, 2, 2]);
      assert.ok([...bareMs, ...stackMs, ...minimalMs].every((ms) => ms > 0));
      const [first = NaN, second = NaN] = stackMs.map((ms, i) => ms - (bareMs[i] ?? NaN));
      assert.ok(Math.abs(differenceMs - (first + second) / 2) < 1e-9);
    }
    assert.equal(latencyTable(rows).split('\n').length, 1 + rows.length);
  });
});
