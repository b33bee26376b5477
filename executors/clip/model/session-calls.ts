import type { ErrorData } from '../../../src/errors.js';
import type { Provider } from './device.js';
import type { GraphValue } from './graph.js';
import type { Feeds, TensorData } from './tensor.js';

/** What a session's worker is asked, and what it answers. */
export interface Calls {
  load: { request: LoadRequest; result: Graph };
  /** Answers with the embeddings (N, width). */
  run: { request: Feeds; result: TensorData<'float32'> };
  /** Ends the trace that `load` began: the providers that computed since, the busiest first. */
  trace: { request: null; result: Provider[] };
  /** Releases the session; the worker ends after it answered. */
  close: { request: null; result: null };
}

export interface LoadRequest {
  path: string;
  /** Loaded in place of the file. */
  model?: Uint8Array<ArrayBuffer> | undefined;
  provider: Provider;
  deviceId: number;
  intraOpNumThreads: number;
  /** Records which providers compute. */
  trace: boolean;
}

/** The interface of a graph. */
export interface Graph {
  inputs: GraphValue[];
  /** The output with the embeddings. */
  output: GraphValue;
}

export type Request = { [K in keyof Calls]: { kind: K; request: Calls[K]['request'] } }[keyof Calls];

export type Result = Calls[keyof Calls]['result'];

/** Answers come in the order of the requests, so they need no id. `spent`: the buffers of the request, to be used again. */
export type Answer = { spent: ArrayBuffer[] } & ({ result: Result } | { error: ErrorData });
