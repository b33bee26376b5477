/** Documents per second that are offered by the hour; straight lines between. */
const RATES: readonly (readonly [hour: number, rate: number])[] = [
  [0, 20],
  [1, 8],
  [1.5, 0], // The night: nothing but a few requests.
  [5, 0],
  [6, 20],
  [9, 220],
  [12, 250],
  [12.5, 150],
  [13.5, 240],
  [17, 200],
  [18.2, 100],
  [18.25, 0], // Whoever calls is down, and comes back at once.
  [18.75, 0],
  [18.76, 100],
  [20.5, 140],
  [23, 40],
  [24, 20],
];

/** Times the load from one second of the day to another. */
const BURSTS: readonly { from: number; to: number; times: number }[] = [
  burst(7.25, 20, 6),
  burst(10.3, 180, 1.8),
  burst(14.6, 600, 1.6),
  // One minute in five.
  ...Array.from({ length: 6 }, (_, index) => burst(15.5 + index / 12, 60, 1.7)),
  burst(21.5, 300, 3),
];

/** Single requests at night, by the second. */
const NIGHT = [7200, 7230, 9000, 10_800, 14_400];

export const DAY_SECONDS = 86_400;

/** Numbers from 0 to 1, the same ones for the same seed on every machine (Mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Documents per second that are offered in each second of a day: a curve by the hour, bursts, and noise by the minute. */
export function day(random: () => number): number[] {
  let noise = 0;
  return Array.from({ length: DAY_SECONDS }, (_, second) => {
    // An autoregressive process: a minute is much like the one before. Its deviation is about 7 %.
    if (second % 60 === 0) noise = 0.8 * noise + 0.15 * (random() - 0.5);
    const times = BURSTS.filter(({ from, to }) => second >= from && second < to).reduce(
      (all, one) => all * one.times,
      1,
    );
    return rateAt(second / 3600) * times * (1 + noise) + (NIGHT.includes(second) ? 4 : 0);
  });
}

function rateAt(hour: number): number {
  const next = RATES.findIndex(([at]) => at > hour);
  const [[fromHour, from], [toHour, to]] = [RATES[next - 1] ?? [0, 0], RATES[next] ?? [24, 0]];
  return from + ((to - from) * (hour - fromHour)) / (toHour - fromHour);
}

function burst(hour: number, seconds: number, times: number): { from: number; to: number; times: number } {
  return { from: hour * 3600, to: hour * 3600 + seconds, times };
}
