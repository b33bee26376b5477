import { ClipflowError } from '../../../src/errors.js';

/** An input or output as the graph declares it. */
export interface GraphValue {
  name: string;
  /** Element type by ONNX Runtime's name, such as `float32`. */
  type: string;
  /** A dimension that varies is given by its name, which may be empty. */
  shape: readonly (number | string)[];
}

const MASK_INPUT = 'attention_mask';
const EMBEDDING_OUTPUTS = ['text_embeds', 'image_embeds', 'embedding', 'output'];

/** What a text graph is fed by: token ids (N, length) and perhaps a mask of the same shape. */
export interface TextInputs {
  ids: GraphValue;
  mask: GraphValue | undefined;
  /** Tokens of each text, when the graph fixes them. */
  length: number | undefined;
}

/** @throws ClipflowError INVALID_MODEL unless the graph takes batches of token ids and nothing else but a mask. */
export function textInputs(inputs: readonly GraphValue[]): TextInputs {
  const mask = inputs.find(({ name }) => name === MASK_INPUT);
  const [ids, ...others] = inputs.filter((input) => input !== mask);
  if (ids?.shape.length !== 2 || others.length > 0) {
    throw new ClipflowError(
      'INVALID_MODEL',
      `The text graph has the inputs ${describe(inputs)}; expected token ids (batch, length), and perhaps ${MASK_INPUT}.`,
    );
  }
  fixedBatch(inputs);
  return { ids, mask, length: fixed(ids.shape[1]) };
}

/** What an image graph is fed by: pixels (N, 3, size, size). */
export interface ImageInputs {
  pixels: GraphValue;
  /** Pixels of a side, when the graph fixes them. */
  size: number | undefined;
}

/** @throws ClipflowError INVALID_MODEL unless the graph takes batches of pixels and nothing else. */
export function imageInputs(inputs: readonly GraphValue[]): ImageInputs {
  const [pixels, ...others] = inputs;
  if (pixels?.shape.length !== 4 || others.length > 0) {
    throw new ClipflowError(
      'INVALID_MODEL',
      `The image graph has the inputs ${describe(inputs)}; expected pixels (batch, 3, size, size) alone.`,
    );
  }
  fixedBatch(inputs);
  return { pixels, size: fixed(pixels.shape[3]) };
}

/**
 * The output that holds the embeddings (N, width): the only one, else one of a known name, else the only one of floats
 * with rank 2.
 * @throws ClipflowError INVALID_MODEL when that leaves none or several.
 */
export function embeddingOutput(outputs: readonly GraphValue[]): GraphValue {
  const [first] = outputs;
  const named = outputs.length === 1 ? first : outputs.find(({ name }) => EMBEDDING_OUTPUTS.includes(name));
  if (named !== undefined) return named;
  const [candidate, ...rivals] = outputs.filter(({ type, shape }) => type.startsWith('float') && shape.length === 2);
  if (candidate !== undefined && rivals.length === 0) return candidate;
  throw new ClipflowError(
    'INVALID_MODEL',
    `The graph has the outputs ${describe(outputs)}; cannot tell which is the embedding. ` +
      `Name it one of ${EMBEDDING_OUTPUTS.join(', ')}.`,
  );
}

/**
 * Documents that a graph computes at once, when it fixes that at one, as Immich's exports do.
 * @throws ClipflowError INVALID_MODEL when it fixes another number: batches differ in size
 */
export function fixedBatch(inputs: readonly GraphValue[]): 1 | undefined {
  const [batch] = inputs.map(({ shape }) => fixed(shape[0])).filter((size) => size !== undefined);
  if (batch === undefined || batch === 1) return batch;
  throw new ClipflowError(
    'INVALID_MODEL',
    `The graph's input ${describe(inputs)} fixes the batch size; export it with a dynamic first dimension.`,
  );
}

/**
 * The type of an input, if it is one that can be fed.
 * @throws ClipflowError INVALID_MODEL when it is not.
 */
export function inputType<T extends string>(input: GraphValue, allowed: readonly T[]): T {
  const type = allowed.find((name) => name === input.type);
  if (type !== undefined) return type;
  throw new ClipflowError(
    'INVALID_MODEL',
    `The graph's input ${describe([input])} cannot be fed; expected the type ${allowed.join(' or ')}.`,
  );
}

function fixed(dimension: number | string | undefined): number | undefined {
  return typeof dimension === 'number' ? dimension : undefined;
}

function describe(values: readonly GraphValue[]): string {
  if (values.length === 0) return '(none)';
  return values.map(({ name, type, shape }) => `${name} ${type}(${shape.join(', ')})`).join(', ');
}
