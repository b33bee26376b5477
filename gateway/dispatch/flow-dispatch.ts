import type { ExecutorLoad } from '../../src/autoscale/load.js';
import type { Outcome } from '../../src/call.js';
import type { CancelSignal } from '../../src/cancel.js';
import { Document } from '../../src/document/document.js';
import { documentToJson } from '../../src/document/json.js';
import { peek } from '../../src/document/peek.js';
import type { Route } from '../../src/document/request.js';
import { ClipflowError } from '../../src/errors.js';
import { pollingOf, type ExecutorConfig, type Flow } from '../../src/flow/flow.js';
import { GATEWAY } from '../../src/flow/graph.js';
import { evaluateWhen } from '../../src/flow/when.js';
import type { JsonObject } from '../../src/json.js';
import type { Logger } from '../../src/telemetry/log.js';
import type { Directory, Replica } from '../../src/transport/transport.js';
import type { EmbeddingCache } from '../cache/embedding-cache.js';
import type { GatewayMetrics } from '../metrics.js';
import { Budget } from './budget.js';
import { Dispatcher, type Work } from './dispatcher.js';
import type { Priority } from './item.js';
import { MAX_TIMER_MS } from './patience.js';
import { reduceDocuments } from './reduce.js';

/** What every protocol hands over. */
export interface FlowRequest {
  endpoint: string;
  parameters: JsonObject;
  /** DocumentProto each. */
  docs: readonly Uint8Array[];
  /** Only executors whose name matches from its start (a regular expression); the others pass documents on. */
  targetExecutor?: string | undefined;
  signal?: CancelSignal | undefined;
  timeoutMs?: number | undefined;
  /** Whose share of the replicas it takes. */
  caller?: string | undefined;
  /** @default interactive */
  priority?: Priority | undefined;
  /** Wait for room in the queue instead of failing with OVERLOADED. */
  patient?: boolean | undefined;
}

export interface FlowAnswer {
  /** One per document, in the order given. */
  outcomes: Outcome[];
  /** The gateway, then each executor that was asked. */
  routes: Route[];
}

/** What a node of the graph lets out: undefined is a document that its `when` keeps out of the branch. */
type NodeOutput = readonly (Outcome | undefined)[];

interface RunningRequest {
  request: FlowRequest;
  target: RegExp | undefined;
  deadline: number | undefined;
  routes: Route[];
}

const DEFAULT_ENDPOINT = '/default';

/** A replica that died is back by then. */
const HOLD_MS = 20_000;

/** The one way into a flow: sends documents through its graph of executors and joins what the branches answer. */
export class FlowDispatch {
  readonly budget: Budget;
  /** One dispatcher for each shard. */
  #dispatchers = new Map<string, Dispatcher[]>();
  #endpoints = new Map<string, ReadonlySet<string>>();
  #nextShard = 0;

  constructor(
    private readonly flow: Flow,
    directory: Directory,
    private readonly metrics: GatewayMetrics,
    log: Logger,
    private readonly cache?: EmbeddingCache,
  ) {
    this.budget = new Budget({ docs: flow.limits.queueDocs, bytes: flow.limits.queueBytes });
    const { hangMs, bulkBatchMs } = flow.limits;
    for (const executor of flow.executors) {
      const { name, shards, retries, hedge } = executor;
      const observer = metrics.observerOf(name, log);
      const options = { executor: name, retries, hangMs, hedge, bulkBatchMs, holdMs: holdMsOf(executor) };
      const dispatcher = (): Dispatcher => new Dispatcher(options, observer);
      this.#dispatchers.set(name, Array.from({ length: shards }, dispatcher));
    }
    directory.onChange((replica, change) => {
      if (change === 'left' || change === 'lost') this.#dispatcherOf(replica)?.replicaGone(replica);
      else this.#replicaChanged(replica);
    });
    for (const replica of directory.replicas.values()) this.#replicaChanged(replica);
  }

  /** Executors of which a shard has no ready replica. */
  notReady(): string[] {
    return this.flow.executors
      .filter((executor) => !restsAtZero(executor))
      .filter(({ name }) => !this.#dispatchers.get(name)?.every((one) => one.hasReadyReplica))
      .map(({ name }) => name);
  }

  loads(): ExecutorLoad[] {
    const now = performance.now();
    return this.flow.executors.map(({ name }) => {
      const loads = (this.#dispatchers.get(name) ?? []).map((dispatcher) => dispatcher.load());
      const oldest = Math.min(...loads.map((load) => load.oldest));
      const sum = (of: 'queued' | 'running' | 'busy' | 'done'): number =>
        loads.reduce((all, load) => all + load[of], 0);
      return {
        executor: name,
        queued: sum('queued'),
        running: sum('running'),
        queueAge: Number.isFinite(oldest) ? (now - oldest) / 1000 : 0,
        busy: sum('busy'),
        done: sum('done'),
      };
    });
  }

  /** Every endpoint that an executor of the flow names. */
  endpoints(): string[] {
    return [...new Set([...this.#endpoints.values()].flatMap((endpoints) => [...endpoints]))].sort();
  }

  /** The endpoint as a label of metrics: callers may name any, so those that no executor names are one. */
  labelOf(endpoint: string): string {
    return [...this.#endpoints.values()].some((endpoints) => endpoints.has(endpoint)) ? endpoint : DEFAULT_ENDPOINT;
  }

  /** Documents that the replica holds for this gateway. */
  outstanding(replica: Replica): number {
    return this.#dispatcherOf(replica)?.outstanding(replica.info.id) ?? 0;
  }

  /**
   * @throws OVERLOADED when the queue is full, UNKNOWN_ENDPOINT when no executor serves the endpoint, INVALID_REQUEST
   * when the target is malformed, INVALID_DOCUMENT when the bytes of a document are; what happens to single documents is in their outcomes
   */
  async post(request: FlowRequest): Promise<FlowAnswer> {
    const { endpoint, targetExecutor, timeoutMs } = request;
    this.#checkEndpoint(endpoint);
    const gatewayRoute: Route = { executor: GATEWAY, startTime: now() };
    const running: RunningRequest = {
      request,
      target: targetExecutor ? targetPattern(targetExecutor) : undefined,
      deadline: timeoutMs === undefined ? undefined : performance.now() + timeoutMs,
      routes: [gatewayRoute],
    };
    const outcomes = await this.#withRoom(request, () => this.#runGraph(running));
    // Whole milliseconds, and at least one: clip-client divides by them.
    gatewayRoute.endTime = Math.max(now(), (gatewayRoute.startTime ?? 0) + 1);
    const failed = outcomes.filter((outcome) => 'error' in outcome).length;
    this.metrics.documentsDone(this.labelOf(endpoint), outcomes.length - failed, failed);
    return { outcomes, routes: running.routes };
  }

  /** A request counts once, from its arrival to its answer, however many executors it passes. */
  async #withRoom<T>({ docs, patient, signal }: FlowRequest, run: () => Promise<T>): Promise<T> {
    const bytes = docs.reduce((sum, doc) => sum + doc.byteLength, 0);
    if (patient) await this.budget.takeInTurn(docs.length, bytes, signal);
    else this.budget.take(docs.length, bytes);
    try {
      return await run();
    } finally {
      this.budget.give(docs.length, bytes);
    }
  }

  async #runGraph(running: RunningRequest): Promise<Outcome[]> {
    const { nodes, ends } = this.flow.graph;
    const { docs } = running.request;
    const outputs = new Map<string, Promise<NodeOutput>>();
    outputs.set(GATEWAY, Promise.resolve(docs.map((doc) => ({ doc }))));
    const outputOf = (name: string): Promise<NodeOutput> => outputs.get(name) ?? Promise.resolve([]);
    const joined = async (names: readonly string[]): Promise<NodeOutput> =>
      join(await Promise.all(names.map(outputOf)));
    for (const { name, needs } of nodes) {
      const executor = this.flow.executors.find((one) => one.name === name);
      if (!executor) continue;
      const output = joined(needs).then((input) => this.#runNode(executor, input, running));
      output.catch(() => {}); // Reported by whoever awaits the ends.
      outputs.set(name, output);
    }
    // A document that no branch let through comes back as it was sent.
    return (await joined(ends)).map((outcome, index) => outcome ?? { doc: docs[index] ?? new Uint8Array() });
  }

  async #runNode(executor: ExecutorConfig, input: NodeOutput, running: RunningRequest): Promise<NodeOutput> {
    const { request, target, routes } = running;
    const route: Route = { executor: executor.name, startTime: now() };
    routes.push(route);
    if (target && !target.test(executor.name)) return input;
    const output: (Outcome | undefined)[] = [...input];
    if (this.#serves(executor.name, request.endpoint) !== false) {
      const indexes: number[] = [];
      const work: Work[] = [];
      input.forEach((outcome, index) => {
        if (!outcome || 'error' in outcome) return;
        if (executor.when && !meets(executor, outcome.doc)) {
          output[index] = undefined;
          return;
        }
        indexes.push(index);
        work.push({ doc: outcome.doc, kind: peek(outcome.doc).kind });
      });
      const compute = (docs: readonly Work[]): Promise<NodeOutput> => this.#submit(executor, docs, running);
      const outcomes = await (this.cache?.through(executor.name, request, work, compute) ?? compute(work));
      indexes.forEach((index, position) => (output[index] = counted(input[index], outcomes[position])));
    }
    route.endTime = now();
    return output;
  }

  async #submit(executor: ExecutorConfig, work: readonly Work[], running: RunningRequest): Promise<NodeOutput> {
    const { request, deadline } = running;
    const { endpoint, parameters, caller, priority, signal } = request;
    const left = deadline === undefined ? Infinity : Math.max(0, deadline - performance.now());
    const timeoutMs = Math.min(left, executor.timeoutSendMs ?? Infinity);
    const options = {
      endpoint,
      parameters,
      caller,
      priority,
      signal,
      ...(Number.isFinite(timeoutMs) ? { timeoutMs } : {}),
    };
    const shards = this.#dispatchers.get(executor.name) ?? [];
    const asked = pollingOf(executor, endpoint) === 'ALL' ? shards : this.#anyOf(shards);
    return join(await Promise.all(asked.map((shard) => shard.submit(work, options))));
  }

  #anyOf(shards: readonly Dispatcher[]): Dispatcher[] {
    const shard = shards[this.#nextShard++ % shards.length];
    return shard ? [shard] : [];
  }

  #dispatcherOf({ info }: Replica): Dispatcher | undefined {
    return this.#dispatchers.get(info.executor)?.[info.shard];
  }

  #replicaChanged(replica: Replica): void {
    const { executor, endpoints, state } = replica.info;
    if (state !== 'starting') this.#endpoints.set(executor, new Set(endpoints));
    this.#dispatcherOf(replica)?.replicaChanged(replica);
  }

  /** Undefined as long as no replica has told what it serves. */
  #serves(executor: string, endpoint: string): boolean | undefined {
    const endpoints = this.#endpoints.get(executor);
    return endpoints && (endpoints.has(endpoint) || endpoints.has(DEFAULT_ENDPOINT));
  }

  #checkEndpoint(endpoint: string): void {
    if (this.flow.executors.some(({ name }) => this.#serves(name, endpoint) !== false)) return;
    throw new ClipflowError(
      'UNKNOWN_ENDPOINT',
      `no executor of the flow serves "${endpoint}"; served are: ${this.endpoints().join(', ')}`,
    );
  }
}

/** An executor's outcome, with the tokens that those before it counted. */
function counted(before: Outcome | undefined, outcome: Outcome | undefined): Outcome | undefined {
  if (!before || !outcome || 'error' in before || 'error' in outcome || before.tokens === undefined) return outcome;
  return { ...outcome, tokens: before.tokens + (outcome.tokens ?? 0) };
}

/** Without replicas on purpose: it is ready as it is. */
function restsAtZero({ replicas, autoscale }: ExecutorConfig): boolean {
  return replicas === 0 || autoscale?.min === 0;
}

/** Where replicas are started when work comes, it waits for as long as that may take. */
function holdMsOf({ autoscale, timeoutReadyMs = MAX_TIMER_MS }: ExecutorConfig): number {
  return autoscale?.min === 0 ? Math.min(Math.max(timeoutReadyMs, HOLD_MS), MAX_TIMER_MS) : HOLD_MS;
}

/** One outcome per document from those of several branches: an error of any of them stands, documents are reduced. */
function join(branches: readonly NodeOutput[]): NodeOutput {
  const [first = [], ...others] = branches;
  if (others.length === 0) return first;
  return first.map((outcome, index) =>
    others.map((branch) => branch[index]).reduce((left, right) => joinOutcomes(left, right), outcome),
  );
}

function joinOutcomes(left: Outcome | undefined, right: Outcome | undefined): Outcome | undefined {
  if (!left || !right) return left ?? right;
  if ('error' in left) return left;
  if ('error' in right) return right;
  const doc = reduceDocuments(left.doc, right.doc);
  const tokens = Math.max(left.tokens ?? 0, right.tokens ?? 0);
  return tokens === 0 ? { doc } : { doc, tokens };
}

function meets(executor: ExecutorConfig, doc: Uint8Array): boolean {
  if (!executor.when) return true;
  const fields = documentToJson(Document.fromBytes(doc));
  return evaluateWhen(executor.when, { field: (name) => fields[name] });
}

function targetPattern(target: string): RegExp {
  try {
    return new RegExp(`^(?:${target})`);
  } catch (cause) {
    throw new ClipflowError('INVALID_REQUEST', `target_executor "${target}" is no regular expression`, { cause });
  }
}

/** Milliseconds since the epoch, to the microsecond. */
function now(): number {
  return performance.timeOrigin + performance.now();
}
