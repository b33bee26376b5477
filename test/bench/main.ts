/** The benchmarks of docs/benchmarks.md. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { PROTOCOLS } from './stack/contender.js';
import { GRAPHS } from './stack/sides.js';
import { describeMachine } from './machine.js';
import { describe } from './report.js';
import {
  AutoscaleSuite,
  BulkSuite,
  FaultsSuite,
  LatencySuite,
  OverheadSuite,
  SoakSuite,
  StackSuite,
  SUITES,
  TextLengthSuite,
  type Suite,
} from './suite.js';
import { MODALITIES } from './workload.js';

const MODELS = { tiny: 'tiny-clip', vit: 'vit-b-32-synthetic' };

const USAGE = `npm run bench -- [option]...

--suite NAME       ${SUITES.join(', ')}. Default: stack
--quick            fewer and shorter legs
--only WHAT        ${[...MODALITIES, ...Object.keys(MODELS)].join(', ')}; may be repeated
--protocol NAME    ${PROTOCOLS.join(', ')}. Default: http
--replicas N       default: 1; may be repeated
--graphs NAME      ${GRAPHS.join(', ')}; of stack and latency. Default: published for stack, served for latency
--minutes N        of faults, or of soak, on each transport. Default: 10, with --quick 1
--json FILE        every leg, the machine and the versions
--svg FILE         a drawing, where the suite has one

docs/benchmarks.md says what is measured.`;

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    suite: { type: 'string', default: 'stack' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    protocol: { type: 'string', default: 'http' },
    replicas: { type: 'string', multiple: true, default: ['1'] },
    graphs: { type: 'string' },
    minutes: { type: 'string' },
    json: { type: 'string' },
    svg: { type: 'string' },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit();
}
const filters = [...Object.keys(MODELS), ...MODALITIES];
for (const filter of values.only) oneOf('only', filter, filters);
const suites: Record<(typeof SUITES)[number], () => Suite> = {
  stack: () => new StackSuite(),
  latency: () => new LatencySuite(),
  'text-length': () => new TextLengthSuite(),
  overhead: () => new OverheadSuite(),
  faults: () => new FaultsSuite(),
  soak: () => new SoakSuite(),
  autoscale: () => new AutoscaleSuite(),
  bulk: () => new BulkSuite(),
};
const suite = suites[oneOf('suite', values.suite, SUITES)]();
if (values.svg !== undefined && !suite.plot) throw new Error(`--svg: the suite ${values.suite} draws nothing`);
const choice = {
  models: chosen(Object.keys(MODELS) as (keyof typeof MODELS)[]).map((name) => MODELS[name]),
  modalities: chosen(MODALITIES),
  protocol: oneOf('protocol', values.protocol, PROTOCOLS),
  replicas: values.replicas.map(positive),
  minutes: positive(values.minutes ?? (values.quick ? '1' : '10')),
  quick: values.quick,
  graphs: values.graphs === undefined ? undefined : oneOf('graphs', values.graphs, GRAPHS),
};

function positive(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`${text}: expected a whole number, at least 1`);
}

function oneOf<T extends string>(option: string, value: string, expected: readonly T[]): T {
  const found = expected.find((name) => name === value);
  if (found === undefined) throw new Error(`--${option} ${value}: expected ${expected.join(', ')}`);
  return found;
}

/** Those that `--only` names; all when it names none of them. */
function chosen<T extends string>(names: readonly T[]): readonly T[] {
  const named = names.filter((name) => values.only.includes(name));
  return named.length > 0 ? named : names;
}

const machine = describeMachine();
console.log(describe(machine));
try {
  await suite.run(choice);
} finally {
  // What was measured before something failed counts.
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify({ machine, ...suite.results }, null, 2)}\n`);
  }
  if (values.svg !== undefined) writeFileSync(values.svg, suite.plot?.() ?? '');
  console.log(`\n${suite.tables()}`);
}
