import type { AutoscaleDay } from './autoscale.js';

const WIDTH = 960;
const PANEL = { left: 56, right: 28, top: 36, height: 180, gap: 60 };
const MINUTES = 1440;
/** Of which each point of the load is the mean. */
const POINT_MINUTES = 2;
const INNER = WIDTH - PANEL.left - PANEL.right;

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .grid { stroke: #d0d7de; stroke-width: 1; fill: none }
  .load { fill: #54aeff; fill-opacity: .55 }
  .capacity { stroke: #cf222e; stroke-width: 1.6; fill: none; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .grid { stroke: #30363d }
    .load { fill: #388bfd }
    .capacity { stroke: #ff7b72 }
  }`;

/** A panel for each day: the load, and what the replicas that are ready can compute. */
export function plotDays(days: readonly AutoscaleDay[]): string {
  const height = PANEL.top + days.length * (PANEL.height + PANEL.gap);
  const panels = days.map((day, index) => panel(day, PANEL.top + index * (PANEL.height + PANEL.gap)));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Replicas against load over a day">`,
    `<style>${STYLE}\n</style>`,
    ...panels,
    '</svg>\n',
  ].join('\n');
}

function panel({ autoscale, rates, capacity, config, simulated }: AutoscaleDay, top: number): string {
  const replicasTop = config.max + 1;
  const x = (minute: number): string => (PANEL.left + (minute * INNER) / MINUTES).toFixed(1);
  const y = (rate: number): string => (top + PANEL.height * (1 - rate / (capacity * replicasTop))).toFixed(1);
  const bottom = y(0);

  const load = Array.from({ length: MINUTES / POINT_MINUTES }, (_, index) => {
    const minute = index * POINT_MINUTES;
    const seconds = rates.slice(minute * 60, (minute + POINT_MINUTES) * 60);
    return `${x(minute)} ${y(seconds.reduce((all, rate) => all + rate, 0) / seconds.length)}`;
  });
  const steps = simulated.ready.flatMap((replicas, second) =>
    replicas === simulated.ready[second - 1] ? [] : `H${x(second / 60)}V${y(replicas * capacity)}`,
  );
  const rows = [0, 4, 8, 12].filter((replicas) => replicas < replicasTop);
  const hours = [0, 3, 6, 9, 12, 15, 18, 21, 24];
  const label = (text: string, at: string, attributes: string): string => `<text ${at} ${attributes}>${text}</text>`;
  return [
    label(`autoscale: ${autoscale}`, `x="${PANEL.left}" y="${top - 12}"`, 'class="title"'),
    label(
      'line: replicas that are ready; area: load, in replicas that it fills',
      `x="${WIDTH - PANEL.right}" y="${top - 12}"`,
      'text-anchor="end"',
    ),
    ...rows.map((replicas) => `<path class="grid" d="M${PANEL.left} ${y(replicas * capacity)}h${INNER}"/>`),
    ...rows.map((replicas) =>
      label(String(replicas), `x="${PANEL.left - 8}" y="${Number(y(replicas * capacity)) + 4}"`, 'text-anchor="end"'),
    ),
    ...hours.map((hour) =>
      label(`${hour}:00`, `x="${x(hour * 60)}" y="${Number(bottom) + 18}"`, 'text-anchor="middle"'),
    ),
    `<path class="load" d="M${PANEL.left} ${bottom}L${load.join(' ')}V${bottom}Z"/>`,
    `<path class="capacity" d="M${PANEL.left} ${y((simulated.ready[0] ?? 0) * capacity)}${steps.slice(1).join('')}H${x(MINUTES)}"/>`,
  ].join('\n');
}
