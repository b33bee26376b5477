import type { Logger } from 'pino';
import { ClipflowError, toClipflowError } from '../../../src/errors.js';
import { candidates, deviceUnavailable, type Provider } from './device.js';
import type { GraphValue } from './graph.js';
import type { Graph } from './session-calls.js';
import { SessionThread } from './session-thread.js';
import { BufferPool, buffersOf, type Feeds, type TensorArrays, type TensorData, type TensorType } from './tensor.js';
import { Watchdog } from './watchdog.js';

export interface SessionOptions {
  /** The ONNX file. */
  path: string;
  /** Loaded in place of the file; weights beside the file are still found. Its buffer moves to the worker. */
  model?: Uint8Array<ArrayBuffer> | undefined;
  /** One of DEVICES. */
  device: string;
  /** Which GPU, counted from 0 among those that the process sees. @default 0 */
  deviceId?: number;
  /** Threads that compute one run; see `threadsPerReplica`. */
  intraOpNumThreads: number;
  /** Makes the feeds of a batch to warm up with, and to prove the device with; see `textSample` and `imageSample`. */
  sample: (session: Session, batchSize: number) => Feeds;
  log: Logger;
  /** Called when the worker ends without `close`, or hangs; the session is of no use from then on. */
  onExit?: (error: ClipflowError) => void;
}

/** A graph on a device. It loads and computes in a thread of its own, so the caller's thread stays answerable. */
export interface Session {
  readonly inputs: readonly GraphValue[];
  /** The output that `run` answers with. */
  readonly output: GraphValue;
  /** What really computes, the busiest first. */
  readonly providers: readonly Provider[];

  /** An array to fill for `run`; it holds leftovers of earlier runs. */
  allocate<T extends TensorType>(type: T, length: number): TensorArrays[T];

  /** Takes back an array of `allocate` that is not run. */
  free(array: TensorArrays[TensorType]): void;

  /**
   * Embeds a batch: (N, width), as float32 whatever the graph gives. The feeds' buffers move to the worker, so their
   * arrays are empty afterwards. Several runs may be posted: they compute one by one and answer in that order.
   * @throws ClipflowError EXECUTOR_FAILED when the graph refuses the feeds, REPLICA_LOST when the worker ended.
   */
  run(feeds: Feeds): Promise<TensorData<'float32'>>;

  /** Runs a batch of each size, as the first of each shape is slow, and takes the memory that a second one needs meanwhile. */
  warmUp(batchSizes: readonly number[]): Promise<void>;

  /**
   * Once warm: from now on a run that takes over a minute, and 50 times longer than the slowest so far, is reported as
   * the session's end.
   */
  watch(): void;

  /** Lets the posted runs finish and ends the worker. */
  close(): Promise<void>;
}

/**
 * Loads a graph in a worker thread.
 * @throws ClipflowError INVALID_MODEL when the file is no graph or has no clear output, DEVICE_UNAVAILABLE when the
 * device cannot be had or computes nothing, INVALID_CONFIG when it is unknown.
 */
export async function createSession(options: SessionOptions): Promise<Session> {
  const [provider, fallback] = candidates(options.device);
  try {
    return await open(options, provider);
  } catch (error) {
    const { code, message } = toClipflowError(error);
    if (fallback === undefined || code !== 'DEVICE_UNAVAILABLE') throw error;
    options.log.warn(
      { model: options.path, reason: message },
      `device auto: no ${provider}, computing on the ${fallback}`,
    );
    return open(options, fallback);
  }
}

async function open(options: SessionOptions, provider: Provider): Promise<Session> {
  const { path, model, deviceId = 0, intraOpNumThreads, sample, onExit } = options;
  const pool = new BufferPool();
  let lost: ((error: ClipflowError) => void) | undefined; // while it loads, the rejected call tells
  const thread = new SessionThread(
    (buffers) => pool.release(buffers),
    (error) => lost?.(error),
  );
  try {
    const trace = provider !== 'cpu';
    const request = { path, model, provider, deviceId, intraOpNumThreads, trace };
    const graph = await thread.call('load', request, model && [model.buffer]);
    const session = new ThreadSession(thread, pool, graph, options, [provider]);
    if (trace) {
      const feeds = sample(session, 1);
      session.providers = await prove(thread, provider, () => session.run(feeds));
    }
    lost = onExit;
    return session;
  } catch (error) {
    await thread.close();
    throw error;
  }
}

/**
 * Computes a batch under the trace that `load` began, as ONNX Runtime may load a graph for a device and then compute it
 * on another.
 */
async function prove(thread: SessionThread, provider: Provider, run: () => Promise<unknown>): Promise<Provider[]> {
  await run().catch((error: Error) => {
    throw deviceUnavailable(provider, error.message);
  });
  const active = await thread.call('trace', null);
  if (active.includes(provider)) return active;
  throw deviceUnavailable(provider, `the model was loaded for it, but computed on ${active.join(', ') || 'nothing'}`);
}

class ThreadSession implements Session {
  readonly inputs: readonly GraphValue[];
  readonly output: GraphValue;
  readonly #watchdog = new Watchdog();

  constructor(
    private readonly thread: SessionThread,
    private readonly pool: BufferPool,
    graph: Graph,
    private readonly options: SessionOptions,
    public providers: readonly Provider[],
  ) {
    this.inputs = graph.inputs;
    this.output = graph.output;
  }

  allocate<T extends TensorType>(type: T, length: number): TensorArrays[T] {
    return this.pool.allocate(type, length);
  }

  free(array: TensorArrays[TensorType]): void {
    this.pool.free(array);
  }

  async run(feeds: Feeds): Promise<TensorData<'float32'>> {
    return this.#watchdog.watch(this.thread.call('run', feeds, buffersOf(feeds)));
  }

  async warmUp(batchSizes: readonly number[]): Promise<void> {
    for (const size of batchSizes) {
      // One batch is prepared while another runs.
      const prepared = this.options.sample(this, size);
      await this.run(this.options.sample(this, size));
      this.pool.release(buffersOf(prepared));
    }
  }

  watch(): void {
    const { path, onExit } = this.options;
    this.#watchdog.start((limitMs) => {
      const message = `The model ${path} has not answered a run for ${Math.round(limitMs / 1000)} s: it hangs.`;
      onExit?.(new ClipflowError('REPLICA_LOST', message));
    });
  }

  close(): Promise<void> {
    return this.thread.close();
  }
}
