import type { Machine } from './machine.js';
import type { Latency, Throughput } from './measure.js';
import { median } from '../support/vectors.js';

/** What `--json` writes. */
export interface Report {
  machine: Machine;
  throughput: Throughput[];
  latency: Latency[];
}

export function describe({ cpu, cores, memoryGiB, system, loadBefore, ...versions }: Machine): string {
  const software = `clipflow ${versions.clipflow}, Node ${versions.node}, onnxruntime-node ${versions.onnxruntime}`;
  return `${versions.date}: ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}; ${software}; load before ${loadBefore}`;
}

export function throughputTable(rows: readonly Throughput[]): string {
  const head = [
    'model',
    'modality',
    'protocol',
    'docs/request',
    'bare docs/s',
    'stack docs/s',
    'ratio',
    'of the pairs',
  ];
  const cpu = ['CPU ms/doc: bare', 'replica', 'gateway', 'client', 'CPU ratio'];
  const lines = rows.map(({ model, modality, protocol, documentsPerRequest, bare, stack, ratio, cpuMs, cpuRatio }) => [
    ...[model, modality, protocol, String(documentsPerRequest)],
    ...[
      median(bare).toFixed(1),
      median(stack).toFixed(1),
      ratio.toFixed(2),
      range(stack.map((s, i) => s / at(bare, i))),
    ],
    ...[cpuMs.bare, cpuMs.replica, cpuMs.gateway, cpuMs.client].map((ms) => ms.toFixed(2)),
    cpuRatio.toFixed(2),
  ]);
  return table([[...head, ...cpu], ...lines]);
}

export function latencyTable(rows: readonly Latency[]): string {
  const lines = rows.map(({ model, modality, protocol, bareMs, stackMs, differenceMs }) => [
    ...[model, modality, protocol, median(bareMs).toFixed(2), median(stackMs).toFixed(2), differenceMs.toFixed(2)],
    range(stackMs.map((ms, i) => ms - at(bareMs, i))),
  ]);
  return table([
    ['model', 'modality', 'protocol', 'bare p50 ms', 'stack p50 ms', 'difference ms', 'of the pairs'],
    ...lines,
  ]);
}

/** The closing line. */
export function ratios(rows: readonly Throughput[]): string {
  const each = rows.map(
    ({ model, modality, protocol, documentsPerRequest, ratio }) =>
      `${model} ${modality} ${protocol} x${documentsPerRequest} ${ratio.toFixed(2)}`,
  );
  return `stack / bare: ${each.join(', ')}`;
}

function range(values: readonly number[]): string {
  return `${Math.min(...values).toFixed(2)}..${Math.max(...values).toFixed(2)}`;
}

function at(values: readonly number[], index: number): number {
  return values[index] ?? NaN;
}

/** In columns; numbers to the right, names to the left. */
function table(rows: readonly string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row.map((cell, i) => (i < 3 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
    )
    .join('\n');
}
