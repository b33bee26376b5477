import type { Logger } from 'pino';
import { decodeCall, encodeOutcomes, type Outcome } from '../src/call.js';
import { abortSignalOf, type CancelSignal } from '../src/cancel.js';
import { Document } from '../src/document/document.js';
import { ClipflowError, toClipflowError, type ErrorData } from '../src/errors.js';
import type { JsonObject } from '../src/json.js';
import type { Message } from '../src/transport/transport.js';
import type { CallContext, Executor, RequestMethod } from './executor.js';

const DEFAULT_ENDPOINT = '/default';

/** What a call brings, before what its documents come to. */
type RunContext = Pick<CallContext, 'endpoint' | 'parameters'> & { signal: CancelSignal };

export interface CallObserver {
  callDone(endpoint: string, documents: number, failed: number, seconds: number): void;
}

/** Runs an executor's methods for the calls that a transport brings. */
export class ExecutorRuntime {
  readonly #methods = new Map<string, RequestMethod>();
  #held = 0;

  /** @param requests endpoint to method name, from the class and the flow's `uses_requests` */
  constructor(
    private readonly executor: Executor,
    requests: Readonly<Record<string, string>>,
    private readonly observer: CallObserver,
    private readonly log: Logger,
  ) {
    for (const [endpoint, name] of Object.entries(requests)) {
      const method: unknown = Reflect.get(executor, name);
      if (typeof method !== 'function') {
        throw new ClipflowError(
          'INVALID_FLOW',
          `${executor.constructor.name} serves "${endpoint}" by its method "${name}", which it does not have`,
        );
      }
      this.#methods.set(endpoint, (method as RequestMethod).bind(executor));
    }
  }

  get endpoints(): string[] {
    return [...this.#methods.keys()];
  }

  /** Documents of calls that are not answered yet. */
  get held(): number {
    return this.#held;
  }

  async handle(message: Message, signal: CancelSignal): Promise<Message> {
    const { endpoint, parameters, docs } = decodeCall(message);
    const started = performance.now();
    this.#held += docs.length;
    const outcomes = await this.#answer(docs, { endpoint, parameters, signal }).finally(() => {
      this.#held -= docs.length;
    });
    const failed = outcomes.filter((outcome) => 'error' in outcome).length;
    this.observer.callDone(endpoint, docs.length, failed, (performance.now() - started) / 1000);
    return encodeOutcomes(outcomes, this.#held);
  }

  /** The documents of a batch come from different callers: when the method throws, each is tried by itself. */
  async #answer(parts: readonly Uint8Array[], context: RunContext): Promise<Outcome[]> {
    try {
      return await this.#run(parts, context);
    } catch (thrown) {
      const error = toClipflowError(thrown, 'EXECUTOR_FAILED');
      // One of clipflow's own is about the call, unless it is about one document that could not be read.
      if (error === thrown && error.code !== 'INVALID_DOCUMENT') throw error;
      if (error !== thrown)
        this.log.error({ event: 'executor_threw', endpoint: context.endpoint, documents: parts.length, err: thrown });
      if (parts.length === 1) throw error;
      const outcomes: Outcome[] = [];
      for (const part of parts) outcomes.push(...(await this.#runAlone(part, context)));
      return outcomes;
    }
  }

  async #runAlone(part: Uint8Array, context: RunContext): Promise<Outcome[]> {
    try {
      return await this.#run([part], context);
    } catch (thrown) {
      return [{ error: toClipflowError(thrown, 'EXECUTOR_FAILED').toJSON() }];
    }
  }

  async #run(parts: readonly Uint8Array[], context: RunContext): Promise<Outcome[]> {
    const { endpoint } = context;
    const name = this.executor.constructor.name;
    const method = this.#methods.get(endpoint) ?? this.#methods.get(DEFAULT_ENDPOINT);
    if (!method) throw new ClipflowError('UNKNOWN_ENDPOINT', `${name} does not serve "${endpoint}"`);
    const docs = parts.map((part) => Document.fromBytes(part));
    const run = new Run(context);
    const answered = (await method(docs, run)) ?? docs;
    if (answered.length !== docs.length) {
      throw new ClipflowError(
        'EXECUTOR_FAILED',
        `${name} answered ${answered.length} documents to ${docs.length}: return one for each, in their order`,
      );
    }
    return answered.map((doc, index) => {
      const error = run.errors.get(index);
      if (error) return { error };
      const tokens = run.tokens.get(index);
      return tokens === undefined ? { doc: doc.toBytes() } : { doc: doc.toBytes(), tokens };
    });
  }
}

/** One run of a method: what it is told, and what it tells of single documents. */
class Run implements CallContext {
  readonly endpoint: string;
  readonly parameters: JsonObject;
  readonly errors = new Map<number, ErrorData>();
  readonly tokens = new Map<number, number>();
  readonly #given: CancelSignal;
  #signal: AbortSignal | undefined;

  constructor({ endpoint, parameters, signal }: RunContext) {
    this.endpoint = endpoint;
    this.parameters = parameters;
    this.#given = signal;
  }

  /** Made for whoever looks: few do. */
  get signal(): AbortSignal {
    return (this.#signal ??= abortSignalOf(this.#given));
  }

  readonly fail = (index: number, error: ErrorData): void => {
    this.errors.set(index, error);
  };

  readonly count = (index: number, tokens: number): void => {
    this.tokens.set(index, (this.tokens.get(index) ?? 0) + tokens);
  };
}
