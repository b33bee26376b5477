import { z } from 'zod';
import { ClipflowError } from '../../src/errors.js';
import type { JsonObject } from '../../src/json.js';

/** The model that ships. */
export const DEFAULT_MODEL = 'tiny-clip';

const Model = z.strictObject({
  /** What `/encode/<name>` calls it, and the folder that is looked for. */
  name: z.string().min(1),
  model_path: z.string().min(1).optional(),
});

/** `with:` of a CLIPEncoder. Keys of CLIP-as-service keep their names and meaning. */
const ClipSettings = z.strictObject({
  name: z.string().min(1).optional(),
  /** Folder of the model; without it `name`, by default the model that ships, is looked for among the model folders. */
  model_path: z.string().min(1).optional(),
  /** Several models in one replica instead of `name`; the first one serves `/encode`. */
  models: z.array(Model).min(1).optional(),
  /** `cuda` that cannot be had is an error; `auto` falls back to the CPU and logs it. */
  device: z
    .string()
    .nullable()
    .default('auto')
    .transform((device) => device ?? 'auto'),
  /** `fp16`: the graphs of the folder that are exported in half precision (`*_fp16.onnx`). */
  dtype: z
    .enum(['fp32', 'fp16'])
    .nullable()
    .default('fp32')
    .transform((dtype) => dtype ?? 'fp32'),
  /** Documents that the session computes at once. */
  minibatch_size: z.int().min(1).max(1024).default(32),
  /** Images that are decoded at once. */
  num_worker_preprocess: z.int().min(1).max(64).default(4),
  access_paths: z.string().default('@r'),
  /** The older name of `access_paths`. */
  traversal_paths: z.string().optional(),
  /** Threads of one session. Default: the CPUs of the container divided by the replicas on the machine. */
  intra_op_num_threads: z.int().min(1).optional(),
  /** Computes texts no further than their end, where that changes nothing. */
  trim_text: z.boolean().default(true),
  /** Computes the last block of each tower only where its vector is taken from, where that changes nothing. */
  prune_last_block: z.boolean().default(true),
  /** Scale embeddings to length 1. */
  normalize: z.boolean().default(false),
});

export type ClipSettings = z.output<typeof ClipSettings>;

/** @throws INVALID_CONFIG with every fault */
export function parseClipSettings(executor: string, settings: JsonObject): ClipSettings {
  const result = ClipSettings.safeParse(settings);
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ path, message }) => `with.${path.join('.')}: ${message}`);
  throw new ClipflowError('INVALID_CONFIG', `executor ${executor}: ${faults.join('; ')}`);
}

/** What a request may set; other parameters are none of ours. */
const ClipParameters = z.object({
  /** Answer without the blob or tensor that was embedded. */
  drop_image_content: z.boolean().default(false),
  access_paths: z.string().optional(),
  traversal_paths: z.string().optional(),
  minibatch_size: z.int().min(1).max(1024).optional(),
});

export type ClipParameters = z.output<typeof ClipParameters>;

/** @throws INVALID_REQUEST with every fault */
export function parseClipParameters(parameters: JsonObject): ClipParameters {
  const result = ClipParameters.safeParse(parameters);
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ path, message }) => `parameters.${path.join('.')}: ${message}`);
  throw new ClipflowError('INVALID_REQUEST', faults.join('; '));
}
