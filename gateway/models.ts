import { ClipflowError } from '../src/errors.js';
import type { Flow } from '../src/flow/flow.js';
import type { ModelInfo } from '../src/model-info.js';
import type { Directory, Replica } from '../src/transport/transport.js';

/** A model, and the executors that serve it. */
export interface ServedModel {
  info: ModelInfo;
  executors: readonly string[];
}

/** The models that the executors of a flow serve, as their replicas last told. */
export class Models {
  /** By executor. Kept while no replica is there: what the flow serves does not change by that. */
  #told = new Map<string, readonly ModelInfo[]>();

  constructor(
    private readonly flow: Flow,
    private readonly directory: Directory,
  ) {
    directory.onChange((replica, change) => {
      if (change !== 'left' && change !== 'lost') this.#tell(replica);
    });
    for (const replica of directory.replicas.values()) this.#tell(replica);
  }

  list(): ServedModel[] {
    const models = new Map<string, { info: ModelInfo; executors: string[] }>();
    for (const { name: executor } of this.flow.executors) {
      for (const info of this.#told.get(executor) ?? []) {
        const known = models.get(info.name);
        if (known) known.executors.push(executor);
        else models.set(info.name, { info, executors: [executor] });
      }
    }
    return [...models.values()];
  }

  /**
   * @param name undefined for the only one
   * @throws UNKNOWN_MODEL, or UNAVAILABLE while an executor has not told yet
   */
  find(name: string | undefined): ServedModel {
    const models = this.list();
    const found = name === undefined ? models[0] : models.find(({ info }) => info.name === name);
    if (found) return found;
    const silent = this.flow.executors.filter((executor) => !this.#told.has(executor.name));
    if (silent.length > 0) {
      const names = silent.map((executor) => executor.name).join(', ');
      throw new ClipflowError('UNAVAILABLE', `no replica is ready yet of: ${names}`);
    }
    const known = models.map(({ info }) => `"${info.name}"`).join(', ') || 'none';
    const wanted = name === undefined ? 'no model' : `no model "${name}"`;
    throw new ClipflowError('UNKNOWN_MODEL', `there is ${wanted}; this server has: ${known}`);
  }

  /**
   * The target (a regular expression on the executor's name) by which documents pass the encoders of other models;
   * undefined where there are none.
   */
  target({ executors }: ServedModel): string | undefined {
    const others = [...this.#told].flatMap(([executor, models]) =>
      models.length > 0 && !executors.includes(executor) ? [executor] : [],
    );
    return others.length === 0 ? undefined : `(?!(?:${others.join('|')})$)`;
  }

  /** Of what the executor computes at an endpoint; undefined where its replicas differ, or have none. */
  fingerprint(executor: string, endpoint: string): string | undefined {
    const found = new Set<string | null | undefined>();
    for (const { info } of this.directory.replicas.values()) {
      if (info.executor !== executor || info.state === 'starting') continue;
      found.add(info.models.find((model) => model.endpoint === endpoint)?.fingerprint);
    }
    const [only] = found;
    return found.size === 1 ? (only ?? undefined) : undefined;
  }

  #tell({ info }: Replica): void {
    if (info.state !== 'starting') this.#told.set(info.executor, info.models);
  }
}
