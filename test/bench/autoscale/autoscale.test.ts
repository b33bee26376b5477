import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ROOT } from '../../support/flow-process.js';
import { autoscaleDays, REPLICA } from './autoscale.js';
import { plotDays } from './plot.js';
import { capacityOf } from './pool.js';
import { simulate } from './simulate.js';

const DEFAULTS = { min: 1, max: 12, targetOngoing: 64, upDelayMs: 30_000, downDelayMs: 600_000 };
const CAPACITY = capacityOf(REPLICA);
/** Parts of down_delay that the effort is measured over. */
const WINDOW_SECONDS = 60;

const MODELS = {
  'as ViT-B/32 on two cores': REPLICA,
  'batches gain nothing': { ...REPLICA, batchSeconds: 0, documentSeconds: 0.022 },
  'a full batch costs hardly more than one document': { ...REPLICA, batchSeconds: 0.6, documentSeconds: 0.003 },
  'slow to start': { ...REPLICA, startSeconds: 90 },
};

for (const [name, model] of Object.entries(MODELS)) {
  for (const { autoscale, config, simulated, figures } of autoscaleDays(model)) {
    describe(`a day of load, ${name}, autoscale: ${autoscale}`, () => {
      test('keeps its bounds and delays', () => {
        let last = 0;
        for (const { second, from, to } of simulated.scalings) {
          assert.ok(to >= config.min && to <= config.max, `${to} replicas`);
          const delay = (to > from ? config.upDelayMs : config.downDelayMs) / 1000;
          // `second` is rounded down.
          assert.ok(from === 0 || second - last >= delay - 1, `${from} -> ${to} after ${second - last} s`);
          last = second;
        }
      });

      test('replicas that are drained are hardly ever missed, and none idle for long', () => {
        // Where the load itself goes away and comes back within 15 minutes, and not elsewhere.
        assert.ok(figures.downThenUp <= 6, `${figures.downThenUp} times fewer, then more`);
        assert.ok(figures.overIdeal < 1.9, `${figures.overIdeal} times the replica hours`);
        assert.ok(figures.late < 0.05, `${figures.late} late`);
      });
    });
  }
}

test('a load that three replicas do not carry starts more within up_delay', () => {
  const rates = Array<number>(300).fill(3.5 * CAPACITY);
  const [first] = simulate(rates, DEFAULTS, REPLICA).scalings;
  assert.ok(first && first.second <= 32 && first.to > 1, JSON.stringify(first));
});

test('a steady load that four replicas carry comes to have four to six, and keeps them', () => {
  const rates = Array<number>(4 * 3600).fill(3.5 * CAPACITY);
  const { scalings, ready } = simulate(rates, DEFAULTS, REPLICA);
  const last = ready.at(-1) ?? 0;
  assert.ok(last >= 4 && last <= 6, `${last} replicas`);
  assert.ok((scalings.at(-1)?.second ?? 0) < 3600, 'settled within an hour');
});

test('after the load the replicas are back at min within down_delay, or one more', () => {
  for (const min of [0, 1]) {
    const rates = [...Array<number>(1200).fill(3.5 * CAPACITY), ...Array<number>(2400).fill(0)];
    const { ready } = simulate(rates, { ...DEFAULTS, min }, REPLICA);
    assert.equal(ready[1200 + 2 * (600 + WINDOW_SECONDS)], min);
  }
});

test('docs/autoscaling.svg shows these days', () => {
  assert.equal(readFileSync(join(ROOT, 'docs/autoscaling.svg'), 'utf8'), plotDays(autoscaleDays()));
});
