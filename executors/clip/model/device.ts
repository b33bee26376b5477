import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { InferenceSession } from 'onnxruntime-node';
import { z } from 'zod';
import { ClipflowError } from '../../../src/errors.js';

/** What a session computes on; each is an execution provider of ONNX Runtime. */
export type Provider = 'cpu' | 'cuda' | 'tensorrt';

/** What a flow may ask for: `auto` takes CUDA if it can be had, else the CPU. */
export const DEVICES = ['cpu', 'cuda', 'tensorrt', 'auto'] as const;

/**
 * The providers to try for a device, in this order.
 * @throws ClipflowError INVALID_CONFIG for a device not listed: ONNX Runtime would skip it and compute on the CPU.
 */
export function candidates(device: string): [Provider, ...Provider[]] {
  switch (DEVICES.find((name) => name === device)) {
    case 'cpu':
      return ['cpu'];
    case 'cuda':
      return ['cuda'];
    case 'tensorrt':
      return ['tensorrt'];
    case 'auto':
      // Where its library is not even installed, a try would only make ONNX Runtime print an error.
      return cudaInstalled() ? ['cuda', 'cpu'] : ['cpu'];
    case undefined:
      throw new ClipflowError('INVALID_CONFIG', `Unknown device '${device}'; expected one of ${DEVICES.join(', ')}.`);
  }
}

function cudaInstalled(): boolean {
  const { platform, arch } = process;
  const folder = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const name = platform === 'win32' ? 'onnxruntime_providers_cuda.dll' : 'libonnxruntime_providers_cuda.so';
  return existsSync(join(folder, 'bin', 'napi-v6', platform, arch, name));
}

/**
 * A provider as ONNX Runtime is told of it, followed by those that take the nodes which it has no kernel for.
 * onnxruntime-node 1.30 passes no option but `deviceId` on (js/node/src/session_options_helper.cc), so CUDA's
 * `gpu_mem_limit` cannot be set.
 */
export function executionProviders(provider: Provider, deviceId: number): InferenceSession.ExecutionProviderConfig[] {
  const cuda = { name: 'cuda', deviceId };
  switch (provider) {
    case 'cpu':
      return ['cpu'];
    case 'cuda':
      return [cuda, 'cpu'];
    case 'tensorrt':
      return [{ name: 'tensorrt', deviceId }, cuda, 'cpu'];
  }
}

/** The error for a provider that cannot be had, or is had but computes nothing. */
export function deviceUnavailable(provider: Provider, reason: string): ClipflowError {
  return new ClipflowError(
    'DEVICE_UNAVAILABLE',
    `The device '${provider}' cannot be had here: ${reason}. Install its libraries ` +
      '(ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node, CUDA 12, cuDNN 9) and make the GPU visible to the ' +
      "process, or set device to 'cpu' or 'auto'.",
  );
}

const TRACE_NAMES = new Map<string, Provider>([
  ['CPUExecutionProvider', 'cpu'],
  ['CUDAExecutionProvider', 'cuda'],
  ['TensorrtExecutionProvider', 'tensorrt'],
]);

const traceSchema = z.array(z.object({ args: z.object({ provider: z.string().optional() }).optional() }));

/**
 * The providers that computed nodes, the busiest first, by the trace that ONNX Runtime's profiler writes (an array of
 * Chrome trace events). No other interface tells which are active.
 */
export function activeProviders(trace: unknown): Provider[] {
  const nodes = new Map<Provider, number>();
  for (const { args } of traceSchema.parse(trace)) {
    const provider = TRACE_NAMES.get(args?.provider ?? '');
    if (provider !== undefined) nodes.set(provider, (nodes.get(provider) ?? 0) + 1);
  }
  return [...nodes].sort(([, a], [, b]) => b - a).map(([provider]) => provider);
}
