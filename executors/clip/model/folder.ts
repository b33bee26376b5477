import { basename, resolve } from 'node:path';
import { ClipflowError } from '../../../src/errors.js';
import { imageInputs, textInputs } from './graph.js';
import { readClipAsService, readHuggingFace, readOpenClip, type FolderSettings, type ImageSpec } from './layouts.js';
import { findFile } from './model-files.js';
import { readGraphInputs } from './onnx-header.js';

const LAYOUTS = [
  { layout: 'clip-as-service', textual: 'textual.onnx', visual: 'visual.onnx', read: readClipAsService },
  { layout: 'open-clip', textual: 'textual/model.onnx', visual: 'visual/model.onnx', read: readOpenClip },
  { layout: 'hugging-face', textual: 'onnx/text_model.onnx', visual: 'onnx/vision_model.onnx', read: readHuggingFace },
] as const;

/** Precision of the graphs' weights. */
export type Dtype = 'fp32' | 'fp16';

/** A model folder: where its files are, and how texts and images are prepared for it. */
export interface ModelSpec extends FolderSettings {
  /** From config.json, else the folder's. */
  name: string;
  /** Absolute. */
  folder: string;
  layout: (typeof LAYOUTS)[number]['layout'];
  /** Path of the text tower's graph. */
  textual: string;
  /** Path of the image tower's graph. */
  visual: string;
  /** Most tokens of a text, start and end included. */
  contextLength: number;
  image: ImageSpec;
}

/**
 * Reads a folder in one of the layouts that models are published in: CLIP-as-service's (textual.onnx, visual.onnx),
 * Immich's (textual/model.onnx, visual/model.onnx) and Hugging Face's (onnx/text_model.onnx, onnx/vision_model.onnx).
 * Of the graphs only the declarations are read.
 * @param dtype `fp16` takes the graphs that are exported in half precision: `textual_fp16.onnx` beside `textual.onnx`
 * @throws ClipflowError INVALID_MODEL naming the file that is missing or wrong.
 */
export async function readModelFolder(path: string, dtype: Dtype = 'fp32'): Promise<ModelSpec> {
  const folder = resolve(path);
  const { layout, textual, visual, read } = await detectLayout(folder, dtype);
  const settings = await read(folder);
  const text = textInputs(await readGraphInputs(textual));
  const image = imageInputs(await readGraphInputs(visual));
  return {
    ...settings,
    name: settings.name ?? basename(folder),
    folder,
    layout,
    textual,
    visual,
    contextLength: agree(textual, 'context length', settings.contextLength, text.length),
    image: { ...settings.image, size: agree(visual, 'image size', settings.image.size, image.size) },
  };
}

async function detectLayout(folder: string, dtype: Dtype) {
  const files = LAYOUTS.map(({ textual, visual, ...rest }) => ({
    ...rest,
    textual: withDtype(textual, dtype),
    visual: withDtype(visual, dtype),
  }));
  for (const { textual, visual, ...layout } of files) {
    const [text, image] = [await findFile(folder, [textual]), await findFile(folder, [visual])];
    if (text !== undefined && image !== undefined) return { ...layout, textual: text, visual: image };
    if (text === undefined && image === undefined) continue;
    const [found, missing] = text === undefined ? [visual, textual] : [textual, visual];
    throw new ClipflowError(
      'INVALID_MODEL',
      `The model folder ${folder} has ${found} but lacks ${missing} (layout ${layout.layout}); add it.`,
    );
  }
  const layouts = files.map(({ layout, textual, visual }) => `${textual} and ${visual} (${layout})`);
  throw new ClipflowError(
    'INVALID_MODEL',
    `There is no model in the folder ${folder}; expected ${layouts.join(', or ')}.`,
  );
}

function withDtype(file: string, dtype: Dtype): string {
  return dtype === 'fp16' ? file.replace(/\.onnx$/, '_fp16.onnx') : file;
}

/** A number that both the settings and the graph may give. */
function agree(path: string, what: string, configured: number | undefined, fixed: number | undefined): number {
  const value = fixed ?? configured;
  if (value === undefined) {
    throw new ClipflowError(
      'INVALID_MODEL',
      `Neither the folder's JSON files nor ${path} give the ${what}; set it in config.json.`,
    );
  }
  if (configured !== undefined && configured !== value) {
    throw new ClipflowError(
      'INVALID_MODEL',
      `The folder's JSON files give the ${what} ${configured}, but ${path} takes ${value}.`,
    );
  }
  return value;
}
