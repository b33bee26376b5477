/** `npm run bench -- [--quick] [--only text|image|tiny|vit]... [--protocol http|grpc] [--json FILE]`: see docs/benchmarks.md. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { PROTOCOLS } from './contender.js';
import { describeMachine } from './machine.js';
import { BATCH, Comparison, type Effort } from './measure.js';
import { describe, latencyTable, ratios, throughputTable, type Report } from './report.js';
import { MODALITIES } from './workload.js';

const MODELS = { tiny: 'tiny-clip', vit: 'vit-b-32-synthetic' };
const FULL: Effort = { documentsPerRequest: [1, BATCH], pairs: 5, legSeconds: 2, minBatches: 3, singles: 30 };
const QUICK: Effort = { documentsPerRequest: [BATCH], pairs: 2, legSeconds: 1, minBatches: 2, singles: 10 };

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    protocol: { type: 'string', default: 'http' },
    json: { type: 'string' },
  },
});
const filters = [...Object.keys(MODELS), ...MODALITIES];
const unknown = values.only.filter((filter) => !filters.includes(filter));
if (unknown.length > 0) throw new Error(`--only ${unknown.join(', ')}: expected ${filters.join(', ')}`);
const protocol = PROTOCOLS.find((name) => name === values.protocol);
if (!protocol) throw new Error(`--protocol ${values.protocol}: expected ${PROTOCOLS.join(', ')}`);

/** Those that `--only` names; all when it names none of them. */
function chosen<T extends string>(names: readonly T[]): readonly T[] {
  const named = names.filter((name) => values.only.includes(name));
  return named.length > 0 ? named : names;
}

const effort = values.quick ? QUICK : FULL;
const report: Report = { machine: describeMachine(), throughput: [], latency: [] };
console.log(describe(report.machine));
try {
  for (const model of chosen(Object.keys(MODELS) as (keyof typeof MODELS)[])) {
    await using comparison = await Comparison.start(MODELS[model], protocol);
    for (const modality of chosen(MODALITIES)) {
      for await (const measured of comparison.throughput(modality, effort)) {
        report.throughput.push(measured);
        console.error(ratios([measured]));
      }
      report.latency.push(await comparison.latency(modality, effort));
    }
  }
} finally {
  // What was measured before something failed counts.
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  console.log(
    `\n${throughputTable(report.throughput)}\n\n${latencyTable(report.latency)}\n\n${ratios(report.throughput)}`,
  );
}
