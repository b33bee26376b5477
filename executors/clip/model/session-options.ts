import { dirname } from 'node:path';
import type { InferenceSession } from 'onnxruntime-node';
import { executionProviders } from './device.js';
import type { LoadRequest } from './session-calls.js';

/** ONNX Runtime's options for a graph. */
export function sessionOptions({
  path,
  model,
  provider,
  deviceId,
  intraOpNumThreads,
}: Omit<LoadRequest, 'trace'>): InferenceSession.SessionOptions {
  return {
    executionProviders: executionProviders(provider, deviceId),
    intraOpNumThreads,
    interOpNumThreads: 1,
    // Threads spin while a run lasts, and sleep between runs: by default each run is followed by some 30 ms of a core's
    // time burnt in waiting for the next.
    extra: { session: { force_spinning_stop: '1', ...(model && weightsBeside(path)) } },
  };
}

/** Where a graph that comes as bytes finds weights in files (onnxruntime_session_options_config_keys.h). */
function weightsBeside(path: string) {
  return { model_external_initializers_file_folder_path: dirname(path) };
}
