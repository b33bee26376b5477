import { autoscaleDays, type AutoscaleFigures } from './autoscale/autoscale.js';
import { plotDays } from './autoscale/plot.js';
import { measureBulk, type BulkBeside } from './bulk/bulk.js';
import { measureFaults, type Faults } from './endurance/faults.js';
import { soak, type Soak } from './endurance/soak.js';
import { measureOverhead, type Overhead } from './overhead/overhead.js';
import {
  autoscaleTable,
  bulkTable,
  faultsTable,
  latencyTable,
  overheadTable,
  ratios,
  soakTable,
  textLengthTable,
  throughputTable,
} from './report.js';
import type { Protocol } from './stack/contender.js';
import { LatencyComparison, type Latency, type LatencyEffort, type LatencyRound } from './stack/latency.js';
import { BATCH, type Graphs, type SidesSpec } from './stack/sides.js';
import { measureStarts, type Measured } from './stack/starts.js';
import { ThroughputComparison, type Effort, type Throughput, type ThroughputPair } from './stack/throughput.js';
import { TextLengthComparison, type TextLength, type TextLengthEffort } from './text-length.js';
import type { Modality } from './workload.js';

export const SUITES = ['stack', 'latency', 'text-length', 'overhead', 'faults', 'soak', 'autoscale', 'bulk'] as const;

/** What is measured: of which models, and how long. */
export interface Choice {
  models: readonly string[];
  modalities: readonly Modality[];
  protocol: Protocol;
  /** Each is measured. */
  replicas: readonly number[];
  /** How long an endurance suite runs on each transport. */
  minutes: number;
  quick: boolean;
  /** Of stack and latency. Default: published for stack, which tells what the stack costs, served for latency. */
  graphs: Graphs | undefined;
}

const TRANSPORTS = ['nats', 'embedded'] as const;

export interface Suite {
  /** What `--json` writes; it grows while the suite runs. */
  readonly results: object;
  run(choice: Choice): Promise<void>;
  tables(): string;
  /** What `--svg` writes. */
  plot?(): string;
}

/** The whole stack beside a bare loop. */
export class StackSuite implements Suite {
  static readonly #full: Effort = {
    starts: 5,
    documentsPerRequest: [1, BATCH],
    pairs: 2,
    legSeconds: 2,
    minBatches: 3,
  };
  static readonly #quick: Effort = { starts: 2, documentsPerRequest: [BATCH], pairs: 1, legSeconds: 1, minBatches: 2 };
  readonly results: { throughput: Measured<Throughput, ThroughputPair>[] } = { throughput: [] };

  async run({ quick, ...choice }: Choice): Promise<void> {
    const effort = quick ? StackSuite.#quick : StackSuite.#full;
    const { throughput } = this.results;
    for (const sides of specsOf(choice, 'published')) {
      const done = throughput.length;
      const start = () => ThroughputComparison.start(sides);
      await measureStarts(start, choice.modalities, effort, throughput);
      console.error(ratios(throughput.slice(done)));
    }
  }

  tables(): string {
    const { throughput } = this.results;
    return `${throughputTable(throughput)}\n\n${ratios(throughput)}`;
  }
}

/** One document at a time through the whole stack beside a bare session. */
export class LatencySuite implements Suite {
  static readonly #full: LatencyEffort = { starts: 3, rounds: 10, singles: 20, warmUp: 2000 };
  static readonly #quick: LatencyEffort = { starts: 2, rounds: 5, singles: 10, warmUp: 2000 };
  readonly results: { latency: Measured<Latency, LatencyRound>[] } = { latency: [] };

  async run({ quick, ...choice }: Choice): Promise<void> {
    const effort = quick ? LatencySuite.#quick : LatencySuite.#full;
    for (const sides of specsOf(choice, 'served')) {
      const start = () => LatencyComparison.start(sides);
      await measureStarts(start, choice.modalities, effort, this.results.latency);
    }
  }

  tables(): string {
    return latencyTable(this.results.latency);
  }
}

function specsOf(
  { models, replicas: counts, protocol, graphs }: Pick<Choice, 'models' | 'protocol' | 'replicas' | 'graphs'>,
  byDefault: Graphs,
): SidesSpec[] {
  return models.flatMap((model) =>
    counts.map((replicas) => ({ model, protocol, replicas, graphs: graphs ?? byDefault })),
  );
}

/** Texts computed no further than they go beside the graph as published. */
export class TextLengthSuite implements Suite {
  static readonly #full: TextLengthEffort = { rounds: 5, legSeconds: 1 };
  static readonly #quick: TextLengthEffort = { rounds: 2, legSeconds: 0.3 };
  readonly results: { textLength: TextLength[] } = { textLength: [] };

  async run({ models, quick }: Choice): Promise<void> {
    for (const model of models) {
      await using comparison = await TextLengthComparison.start(model);
      this.results.textLength.push(
        ...(await comparison.measure(quick ? TextLengthSuite.#quick : TextLengthSuite.#full)),
      );
    }
  }

  tables(): string {
    return textLengthTable(this.results.textLength);
  }
}

/** An identity executor behind the whole stack beside bare echoes. */
export class OverheadSuite implements Suite {
  readonly results: { overhead: Overhead[] } = { overhead: [] };

  async run({ quick }: Choice): Promise<void> {
    const effort = quick ? { rounds: 2, legSeconds: 1 } : { rounds: 5, legSeconds: 3 };
    this.results.overhead.push(...(await measureOverhead({ ...effort, warmUpSeconds: 4 })));
  }

  tables(): string {
    return overheadTable(this.results.overhead);
  }
}

/** Processes that are killed, stopped, added and drained under load. */
export class FaultsSuite implements Suite {
  readonly results: { faults: Faults[] } = { faults: [] };

  async run({ minutes }: Choice): Promise<void> {
    for (const transport of TRANSPORTS) this.results.faults.push(await measureFaults(transport, minutes * 60));
  }

  tables(): string {
    return faultsTable(this.results.faults);
  }
}

/** What memory each process has after minutes of load. */
export class SoakSuite implements Suite {
  readonly results: { soak: Soak[] } = { soak: [] };

  async run({ minutes }: Choice): Promise<void> {
    for (const transport of TRANSPORTS) this.results.soak.push(...(await soak(transport, minutes)));
  }

  tables(): string {
    return soakTable(this.results.soak);
  }
}

/** Interactive requests beside a job. */
export class BulkSuite implements Suite {
  readonly results: { bulk: BulkBeside[] } = { bulk: [] };

  async run({ models, quick }: Choice): Promise<void> {
    const effort = quick ? { rounds: 2, singles: 200, bulkSeconds: 2 } : { rounds: 5, singles: 1000, bulkSeconds: 5 };
    for (const model of models) this.results.bulk.push(await measureBulk(model, effort));
  }

  tables(): string {
    return bulkTable(this.results.bulk);
  }
}

/** The autoscaler through a simulated day; needs no quiet machine. */
export class AutoscaleSuite implements Suite {
  #days = autoscaleDays();
  readonly results: { autoscale: ({ settings: string } & AutoscaleFigures)[] } = {
    autoscale: this.#days.map(({ autoscale, figures }) => ({ settings: autoscale, ...figures })),
  };

  async run(): Promise<void> {}

  tables(): string {
    return autoscaleTable(this.results.autoscale);
  }

  plot(): string {
    return plotDays(this.#days);
  }
}
