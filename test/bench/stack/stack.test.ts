import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { loadClipBpe } from '../../../executors/clip/text/clip-bpe.js';
import { PACKAGE_ROOT } from '../../../src/version.js';
import { LatencyComparison, type Latency, type LatencyRound } from './latency.js';
import { BATCH } from './sides.js';
import { figureOf, measureStarts, type Measured } from './starts.js';
import { ThroughputComparison, type Throughput, type ThroughputPair } from './throughput.js';
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
    const start = () =>
      ThroughputComparison.start({ model: 'tiny-clip', protocol: 'grpc', replicas: 2, graphs: 'published' });
    const effort = { starts: 2, documentsPerRequest: [1, BATCH], pairs: 2, legSeconds: 0, minBatches: 1 };
    const rows: Measured<Throughput, ThroughputPair>[] = [];
    await measureStarts(start, ['long-text'], effort, rows);
    assert.deepEqual(
      rows.map(({ of }) => [of.replicas, of.documentsPerRequest]),
      [
        [2, 1],
        [2, BATCH],
      ],
    );
    for (const { starts } of rows) {
      assert.deepEqual(
        starts.map((pairs) => pairs.map(({ documents }) => documents)),
        [
          [2 * BATCH, 2 * BATCH],
          [2 * BATCH, 2 * BATCH],
        ],
      );
      assert.ok(starts.flat().every(({ bare, stack }) => bare > 0 && stack > 0));
    }
    assert.equal(throughputTable(rows).split('\n').length, 1 + rows.length);
  });
});

describe('the latency suite', () => {
  test('measures one document at a time, on three sides and at two paces', async () => {
    const start = () =>
      LatencyComparison.start({ model: 'tiny-clip', protocol: 'grpc', replicas: 1, graphs: 'served' });
    const rows: Measured<Latency, LatencyRound>[] = [];
    await measureStarts(start, ['image'], { starts: 1, rounds: 2, singles: 4, warmUp: 16 }, rows);
    assert.deepEqual(
      rows.map(({ of }) => of.pauseMs),
      [0, 5],
    );
    for (const { starts } of rows) {
      assert.deepEqual(
        starts.map((rounds) => rounds.length),
        [2],
      );
      assert.ok(starts.flat().every(({ bareMs, stackMs, minimalMs }) => Math.min(bareMs, stackMs, minimalMs) > 0));
    }
    assert.equal(latencyTable(rows).split('\n').length, 1 + rows.length);
  });
});

describe('the figure of several starts', () => {
  test('is the median of all rounds, and told with the extremes of the starts', () => {
    const starts = [
      [1, 2, 9],
      [4, 4, 4],
      [3, 3, 8],
    ];
    assert.deepEqual(
      figureOf({ starts }, (round) => round),
      { median: 4, least: 2, most: 4 },
    );
  });
});
