import { dirname } from 'node:path';
import type { InferenceSession } from 'onnxruntime-node';
import { executionProviders } from './device.js';
import type { LoadRequest } from './session-calls.js';

/** How long a thread spins within a run before it sleeps. */
const SPIN_MICROSECONDS = '20';

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
    // A plan of the memory for each shape is made for models of one shape. Batches come in many: their plans took as much
    // memory again, in the second run of a large one, and no run was quicker (docs/benchmarks.md, "Soak").
    enableMemPattern: false,
    // A thread that waits for others first spins, which is quick where it has a core for itself. By default it does so
    // for milliseconds, and after each run: wasted where it shares the core, with the preparation of the next batch, the
    // gateway or another process, as then the others wait for it: docs/benchmarks.md, "Spinning".
    extra: {
      session: {
        force_spinning_stop: '1',
        intra_op: { spin_duration_us: SPIN_MICROSECONDS },
        ...(model && weightsBeside(path)),
      },
    },
  };
}

/** Where a graph that comes as bytes finds weights in files (onnxruntime_session_options_config_keys.h). */
function weightsBeside(path: string) {
  return { model_external_initializers_file_folder_path: dirname(path) };
}
