import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { median } from '../../support/vectors.js';
import { measureOverhead } from './overhead.js';

describe('overhead', () => {
  test('measures each contender with 1, 8 and 64 calls under way, beside the bare gRPC echo', async () => {
    const rows = await measureOverhead({ rounds: 2, legSeconds: 0.2, warmUpSeconds: 0.2 });

    const contenders = [
      'bare gRPC echo',
      'bare NATS request',
      'bare gRPC to NATS relay',
      'clipflow, embedded',
      'clipflow, NATS',
    ];
    assert.deepEqual(
      rows.map(({ contender, inFlight }) => [contender, inFlight]),
      [1, 8, 64].flatMap((inFlight) => contenders.map((contender) => [contender, inFlight])),
    );
    for (const { contender, inFlight, rate, p50Ms, p99Ms, ratio } of rows) {
      assert.equal(rate.length, 2);
      assert.ok(median(p50Ms) > 0 && median(p50Ms) <= median(p99Ms));
      if (contender === 'bare gRPC echo') assert.equal(ratio, 1);
      else assert.ok(ratio > 0);
      // Little's law with Markov's inequality: half the calls took at least the median, so the mean is half of it or more.
      rate.forEach((each, round) => assert.ok((each * (p50Ms[round] ?? NaN)) / 1000 <= 2 * inFlight));
    }
  });
});
