import type { Machine } from './machine.js';
import type { Latency, LatencyRound } from './stack/latency.js';
import { figureOf, type Figure, type Measured } from './stack/starts.js';
import type { Throughput, ThroughputPair } from './stack/throughput.js';
import type { AutoscaleFigures } from './autoscale/autoscale.js';
import type { BulkBeside } from './bulk/bulk.js';
import type { Faults } from './endurance/faults.js';
import type { Extremes, Soak } from './endurance/soak.js';
import type { Overhead } from './overhead/overhead.js';
import type { TextLength } from './text-length.js';
import { median } from '../support/vectors.js';

export function describe({ cpu, cores, memoryGiB, system, loadBefore, ...versions }: Machine): string {
  const software = `clipflow ${versions.clipflow}, Node ${versions.node}, onnxruntime-node ${versions.onnxruntime}`;
  return `${versions.date}: ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}; ${software}; load before ${loadBefore}`;
}

export function throughputTable(rows: readonly Measured<Throughput, ThroughputPair>[]): string {
  const head = ['model', 'replicas', 'modality', 'protocol', 'docs/request', 'bare docs/s', 'stack docs/s'];
  const cpu = ['CPU ms/doc: bare', 'replica', 'gateway', 'client', 'CPU ratio'];
  const lines = rows.map((row) => {
    const { model, replicas, modality, protocol, documentsPerRequest } = row.of;
    const of = (figure: (pair: ThroughputPair) => number): Figure => figureOf(row, figure);
    const ratio = of(ratioOf);
    const cpuMs = (['bare', 'replica', 'gateway', 'client'] as const).map((who) => of((pair) => pair.cpuMs[who]));
    return [
      ...[model, String(replicas), modality, protocol, String(documentsPerRequest)],
      ...[of(({ bare }) => bare).median.toFixed(1), of(({ stack }) => stack).median.toFixed(1)],
      ...[ratio.median.toFixed(2), range([ratio.least, ratio.most])],
      ...cpuMs.map((ms) => ms.median.toFixed(2)),
      of(({ cpuMs: { bare, replica, gateway } }) => bare / (replica + gateway)).median.toFixed(2),
    ];
  });
  return table([[...head, 'ratio', 'of the starts', ...cpu], ...lines], 4);
}

export function latencyTable(rows: readonly Measured<Latency, LatencyRound>[]): string {
  const lines = rows.map((row) => {
    const { model, replicas, modality, protocol, pauseMs } = row.of;
    const of = (figure: (round: LatencyRound) => number): Figure => figureOf(row, figure);
    const overBare = [of((ms) => ms.stackMs - ms.bareMs), of((ms) => ms.minimalMs - ms.bareMs)];
    return [
      ...[model, String(replicas), modality, protocol, String(pauseMs)],
      ...[of(({ bareMs }) => bareMs).median.toFixed(2), of(({ stackMs }) => stackMs).median.toFixed(2)],
      ...overBare.flatMap((ms) => [ms.median.toFixed(2), range([ms.least, ms.most])]),
    ];
  });
  const times = ['pause ms', 'bare p50 ms', 'stack p50 ms'];
  const differences = ['difference ms', 'of the starts', 'minimal server', 'of the starts'];
  return table([['model', 'replicas', 'modality', 'protocol', ...times, ...differences], ...lines], 4);
}

export function textLengthTable(rows: readonly TextLength[]): string {
  const head = [
    'model',
    'batch',
    'tokens',
    'bare texts/s',
    'trimmed texts/s',
    'ratio',
    'of the rounds',
    'least cosine',
  ];
  const lines = rows.map(({ model, batch, tokens, bare, trimmed, ratio, cosine }) => [
    ...[model, String(batch), String(tokens), median(bare).toFixed(1), median(trimmed).toFixed(1), ratio.toFixed(2)],
    ...[range(trimmed.map((rate, i) => rate / at(bare, i))), cosine.toFixed(7)],
  ]);
  return table([head, ...lines], 1);
}

export function faultsTable(rows: readonly Faults[]): string {
  const done = ['killed', 'stopped', 'scaled', 'NATS restarted'];
  const counts = ['documents', 'failed', 'duplicated', 'wrong'];
  const times = ['calm p50 ms', 'p99', 'slowest', 'faults p50 ms', 'p99', 'slowest'];
  const lines = rows.map((row) => [
    ...[row.transport, String(row.seconds)],
    ...[row.killed, row.stopped, row.scaled, row.natsRestarted].map(String),
    ...[row.documents, row.failed, row.duplicated, row.wrong].map(String),
    ...[row.calmMs, row.faultsMs].flatMap(({ p50, p99, slowest }) => [p50, p99, slowest]).map((ms) => ms.toFixed(0)),
  ]);
  return table([['transport', 'seconds', ...done, ...counts, ...times], ...lines], 1);
}

export function soakTable(rows: readonly Soak[]): string {
  const extremes = ({ least, most }: Extremes): string => `${least.toFixed(1)}..${most.toFixed(1)}`;
  const head = ['transport', 'process', 'minutes', 'early MiB', 'late MiB', 'growth', 'documents', 'failed'];
  const lines = rows.map(({ transport, process, minutes, early, late, growth, documents, failed }) => [
    ...[transport, process, String(minutes), extremes(early), extremes(late)],
    ...[`${(growth * 100).toFixed(1)} %`, String(documents), String(failed)],
  ]);
  return table([head, ...lines], 2);
}

export function autoscaleTable(rows: readonly ({ settings: string } & AutoscaleFigures)[]): string {
  const head = ['autoscale', 'scalings', 'up, down', 'down, up', 'overloaded min', 'late', 'over ideal'];
  const lines = rows.map((row) => [
    ...[row.settings, String(row.scalings), String(row.upThenDown), String(row.downThenUp)],
    ...[row.overloadedMinutes.toFixed(1), `${(row.late * 100).toFixed(1)} %`, row.overIdeal.toFixed(2)],
  ]);
  return table([head, ...lines], 1);
}

export function bulkTable(rows: readonly BulkBeside[]): string {
  const head = ['model', 'idle p50 ms', 'p99', 'beside p50 ms', 'p99', 'p50 ratio', 'p99 ratio', 'of the rounds'];
  const lines = rows.map(({ model, idleMs, besideMs, ratioP50, ratioP99, bulkAlone, bulkBeside }) => [
    ...[model, median(idleMs.p50).toFixed(2), median(idleMs.p99).toFixed(2)],
    ...[median(besideMs.p50).toFixed(2), median(besideMs.p99).toFixed(2), ratioP50.toFixed(2), ratioP99.toFixed(2)],
    range(besideMs.p99.map((ms, i) => ms / at(idleMs.p99, i))),
    ...[median(bulkAlone).toFixed(0), median(bulkBeside).toFixed(0)],
  ]);
  return table([[...head, 'bulk alone docs/s', 'beside docs/s'], ...lines], 1);
}

export function overheadTable(rows: readonly Overhead[]): string {
  const head = ['contender', 'in flight', 'calls/s', 'p50 ms', 'p99 ms', 'ratio'];
  const lines = rows.map(({ contender, inFlight, rate, p50Ms, p99Ms, ratio }) => [
    ...[contender, String(inFlight), median(rate).toFixed(0)],
    ...[median(p50Ms).toFixed(2), median(p99Ms).toFixed(2), ratio.toFixed(2)],
  ]);
  return table([head, ...lines], 1);
}

/** The closing line. */
export function ratios(rows: readonly Measured<Throughput, ThroughputPair>[]): string {
  const each = rows.map((row) => {
    const { model, replicas, modality, protocol, documentsPerRequest } = row.of;
    const ratio = figureOf(row, ratioOf).median.toFixed(2);
    return `${model} (${replicas}) ${modality} ${protocol} x${documentsPerRequest} ${ratio}`;
  });
  return `stack / bare: ${each.join(', ')}`;
}

function ratioOf({ bare, stack }: ThroughputPair): number {
  return stack / bare;
}

function range(values: readonly number[]): string {
  return `${Math.min(...values).toFixed(2)}..${Math.max(...values).toFixed(2)}`;
}

function at(values: readonly number[], index: number): number {
  return values[index] ?? NaN;
}

/** In columns: those of names, which come first, to the left, those of numbers to the right. */
function table(rows: readonly string[][], names: number): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row.map((cell, i) => (i < names ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
    )
    .join('\n');
}
