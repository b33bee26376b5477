import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AutoscalePolicy, type AutoscaleConfig } from '../../../src/autoscale/policy.js';

const CONFIG: AutoscaleConfig = { min: 1, max: 5, targetOngoing: 10, upDelayMs: 30_000, downDelayMs: 600_000 };

/** Replicas after each second of a load. */
function run(config: AutoscaleConfig, loads: readonly number[], start = config.min): number[] {
  const policy = new AutoscalePolicy(config);
  let replicas = start;
  return loads.map((queued, second) => {
    const load = { queued, running: 0, busy: 0, done: 0 };
    return (replicas = policy.decide(load, replicas, second * 1000));
  });
}

describe('the number of replicas', () => {
  test('rises when more are wanted for up_delay without a break, to what is wanted then', () => {
    const replicas = run(CONFIG, [...Array<number>(30).fill(25), 45]);
    assert.deepEqual(replicas.slice(0, 30), Array(30).fill(1));
    assert.equal(replicas[30], 5);
  });

  test('stays when the load rests once within up_delay', () => {
    const replicas = run(CONFIG, [...Array<number>(29).fill(25), 5, ...Array<number>(29).fill(25)]);
    assert.deepEqual(new Set(replicas), new Set([1]));
  });

  test('falls after down_delay', () => {
    const replicas = run(CONFIG, Array<number>(602).fill(15), 5);
    assert.equal(replicas[599], 5);
    assert.equal(replicas[600], 2);
  });

  test('goes from zero to what is wanted at once, and to zero after down_delay', () => {
    const config = { ...CONFIG, min: 0, downDelayMs: 2000 };
    assert.deepEqual(run(config, [0, 0, 1, 0, 0, 0, 0]), [0, 0, 1, 1, 1, 0, 0]);
    assert.deepEqual(run(config, [0, 35]), [0, 4]);
  });

  test('does not fall below what carries the documents that are done', () => {
    const policy = new AutoscalePolicy(CONFIG);
    let replicas = 5;
    // A fifth of 5 replicas' time is spare, and next to nothing waits: four would be busy all the time.
    for (let second = 0; second < 3600; second++) {
      replicas = policy.decide({ queued: 0, running: 4, busy: 4, done: second * 100 }, replicas, second * 1000);
    }
    assert.equal(replicas, 5);
    // With a quarter of the documents, two are busy at most four fifths of the time.
    for (let second = 3600; second < 7200; second++) {
      replicas = policy.decide(
        { queued: 0, running: 1, busy: 1, done: 270_000 + second * 25 },
        replicas,
        second * 1000,
      );
    }
    assert.equal(replicas, 2);
  });

  test('keeps its bounds, and changes no sooner than its delays allow, whatever the load', () => {
    fc.assert(
      fc.property(
        fc.record({
          min: fc.integer({ min: 1, max: 3 }),
          max: fc.integer({ min: 3, max: 9 }),
          targetOngoing: fc.integer({ min: 1, max: 50 }),
          upDelayMs: fc.integer({ min: 0, max: 9 }).map((seconds) => seconds * 1000),
          downDelayMs: fc.integer({ min: 0, max: 9 }).map((seconds) => seconds * 1000),
        }),
        fc.array(fc.integer({ min: 0, max: 500 }), { size: 'large' }),
        (config, loads) => {
          const replicas = run(config, loads);
          let last = 0;
          replicas.forEach((now, second) => {
            assert.ok(now >= config.min && now <= config.max);
            const before = replicas[second - 1] ?? config.min;
            if (now === before) return;
            const delay = now > before ? config.upDelayMs : config.downDelayMs;
            assert.ok(second * 1000 - last * 1000 >= delay, `changed after ${second - last} s`);
            last = second;
          });
        },
      ),
    );
  });
});
