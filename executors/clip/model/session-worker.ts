/**
 * The thread that owns one InferenceSession and does nothing else: onnxruntime-node computes synchronously, so whatever
 * shared the thread would stand still meanwhile. Requests are answered one by one, in their order.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parentPort, type MessagePort } from 'node:worker_threads';
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { ClipflowError, toClipflowError } from '../../../src/errors.js';
import { activeProviders, deviceUnavailable, type Provider } from './device.js';
import { discard } from './discard.js';
import { decodeFloat16 } from './float16.js';
import { embeddingOutput, type GraphValue } from './graph.js';
import type { Answer, Graph, LoadRequest, Request, Result } from './session-calls.js';
import { sessionOptions } from './session-options.js';
import { buffersOf, type Feeds, type TensorData } from './tensor.js';

env.logLevel = 'error';

let session: InferenceSession | undefined;
let outputName = '';
let traceFolder = '';

async function load(options: LoadRequest): Promise<Graph> {
  if (options.trace) traceFolder = mkdtempSync(join(tmpdir(), 'clipflow-trace-'));
  try {
    const settings: InferenceSession.SessionOptions = {
      ...sessionOptions(options),
      ...(options.trace && { enableProfiling: true, profileFilePrefix: join(traceFolder, 'trace') }),
    };
    session = await (options.model
      ? InferenceSession.create(options.model, settings)
      : InferenceSession.create(options.path, settings));
  } catch (error) {
    throw loadError(options, error instanceof Error ? error.message.trim() : String(error));
  } finally {
    if (options.model) discard(options.model.buffer);
  }
  const output = embeddingOutput(session.outputMetadata.map(describe));
  outputName = output.name;
  return { inputs: session.inputMetadata.map(describe), output };
}

function loadError({ path, provider }: LoadRequest, reason: string): ClipflowError {
  // With another provider than the CPU, what fails before or after the file was read is the provider's.
  if (provider !== 'cpu' && !reason.startsWith('Load model from')) return deviceUnavailable(provider, reason);
  return new ClipflowError('INVALID_MODEL', `${path} cannot be loaded: ${reason}. Download or export it again.`);
}

function describe(value: InferenceSession.ValueMetadata): GraphValue {
  return value.isTensor
    ? { name: value.name, type: value.type, shape: value.shape }
    : { name: value.name, type: 'not a tensor', shape: [] };
}

async function run(feeds: Feeds): Promise<TensorData<'float32'>> {
  const tensors = Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new Tensor(type, data, dims)]);
  const results = await loaded().run(Object.fromEntries(tensors) as Record<string, Tensor>, [outputName]);
  const output = results[outputName];
  if (output === undefined) throw new Error(`the output '${outputName}' is missing`);
  return { type: 'float32', dims: [...output.dims], data: asFloat32(output) };
}

function asFloat32({ type, data }: Tensor): Float32Array<ArrayBuffer> {
  if (data instanceof Float32Array) return data as Float32Array<ArrayBuffer>;
  // A Float16Array where Node has one, else a Uint16Array.
  if (type === 'float16' && ArrayBuffer.isView(data)) {
    return decodeFloat16(new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2));
  }
  throw new ClipflowError('INVALID_MODEL', `The output '${outputName}' is ${type}; expected float32 or float16.`);
}

function endTrace(): Provider[] {
  loaded().endProfiling();
  const [file] = readdirSync(traceFolder);
  if (file === undefined) throw new Error(`ONNX Runtime left no trace in ${traceFolder}`);
  return activeProviders(JSON.parse(readFileSync(join(traceFolder, file), 'utf8')));
}

async function close(): Promise<null> {
  await session?.release();
  session = undefined;
  if (traceFolder !== '') rmSync(traceFolder, { recursive: true, force: true });
  return null;
}

function loaded(): InferenceSession {
  if (session === undefined) throw new Error('no session is loaded');
  return session;
}

/** A result, and its buffer that moves with it instead of being copied. */
interface Handled {
  result: Result;
  moved?: ArrayBuffer;
}

async function handle({ kind, request }: Request): Promise<Handled> {
  switch (kind) {
    case 'load':
      return { result: await load(request) };
    case 'run': {
      const result = await run(request);
      return { result, moved: result.data.buffer };
    }
    case 'trace':
      return { result: endTrace() };
    case 'close':
      return { result: await close() };
  }
}

async function respond(port: MessagePort, message: Request): Promise<void> {
  const spent = message.kind === 'run' ? buffersOf(message.request) : [];
  const post = (answer: Answer, moved: ArrayBuffer[] = []) => port.postMessage(answer, [...spent, ...moved]);
  try {
    const { result, moved } = await handle(message);
    post({ result, spent }, moved && [moved]);
  } catch (error) {
    post({ error: toClipflowError(error, 'EXECUTOR_FAILED').toJSON(), spent });
  }
  if (message.kind === 'close') port.close();
}

let queue = Promise.resolve();
const port = parentPort;
port?.on('message', (message: Request) => {
  queue = queue.then(() => respond(port, message));
});
