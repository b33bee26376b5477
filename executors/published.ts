import type { ExecutorConfig } from '../src/flow/flow.js';
import type { JsonObject } from '../src/json.js';

/** What stands in a flow, and what serves it here. */
export interface Served {
  uses: string;
  with: JsonObject;
  /** The Python module of which another runtime does the work. */
  substitutes?: string;
}

type Runtime = 'onnx' | 'torch' | 'tensorrt';

/** Defaults of the executors of CLIP-as-service 0.8.3, where they are not ours. */
const DEFAULTS: Record<Runtime, JsonObject> = {
  onnx: { name: 'ViT-B-32::openai' },
  torch: { name: 'ViT-B-32::openai' },
  tensorrt: { name: 'ViT-B-32::openai', device: 'tensorrt' },
};

/** As a module's name, or its path. */
const MODULE = /^clip_server[./]executors[./]clip_(onnx|torch|tensorrt)(?:\.py)?$/;

/** The executors of CLIP-as-service's Python modules, whatever their runtime, are served by ours. */
export function servedBy({ uses, with: settings, pyModules }: ExecutorConfig): Served {
  for (const module of pyModules) {
    const runtime = MODULE.exec(module)?.[1] as Runtime | undefined;
    if (runtime === undefined) continue;
    const served = { uses: 'CLIPEncoder', with: { ...DEFAULTS[runtime], ...settings } };
    if (runtime !== 'torch') return served;
    // `jit` chooses between two ways of torch to run a model.
    const { jit: _jit, ...others } = served.with;
    return { ...served, with: others, substitutes: module };
  }
  return { uses, with: settings };
}
