import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ClipflowError } from '../../../src/errors.js';
import { PACKAGE_ROOT } from '../../../src/version.js';

/** What each repository of Immich's layout holds; weights too large for one ONNX file lie beside, under any name. */
const OPEN_CLIP_FILES = [
  'config.json',
  'textual/tokenizer_config.json',
  'textual/tokenizer.json',
  'visual/preprocess_cfg.json',
  'textual/model.onnx',
  'visual/model.onnx',
];

const positive = z.int().positive();

const PublishedModel = z.strictObject({
  /** As CLIP-as-service names it, or by the same rule `ARCHITECTURE::WEIGHTS`. */
  name: z.string().min(1),
  /** Other names that were published. */
  aliases: z.array(z.string().min(1)).default([]),
  family: z.enum(['clip', 'siglip', 'siglip2', 'nllb-siglip', 'xlm-roberta', 'mclip']),
  /** Width of the embeddings. */
  dimension: positive,
  /** Pixels of a side. */
  image_size: positive,
  /** Most tokens of a text. */
  context_length: positive,
  /** On a Hugging Face hub. */
  repository: z.string().regex(/^[\w.-]+\/[\w.-]+$/),
  revision: z.string().min(1).default('main'),
  layout: z.literal('open-clip').default('open-clip'),
  /** Files without which a snapshot of the repository is no model. */
  files: z.array(z.string().min(1)).default(OPEN_CLIP_FILES),
});

export type PublishedModel = z.output<typeof PublishedModel>;

/**
 * The models that can be had by name. Dimensions are those of Immich's server (CLIP_MODEL_INFO), sizes and context
 * lengths those of open_clip's model configs.
 */
export const MODELS: readonly PublishedModel[] = z
  .array(PublishedModel)
  .parse(JSON.parse(readFileSync(join(PACKAGE_ROOT, 'executors/clip/registry/models.json'), 'utf8')));

/** Names were published in several spellings: `ViT-B-32::laion2B-s34B-b79K`, `ViT-B-32__laion2b-s34b-b79k`. */
function spelling(name: string): string {
  return name.toLowerCase().replace('__', '::');
}

const BY_NAME = new Map(
  MODELS.flatMap((model) => [model.name, ...model.aliases].map((name) => [spelling(name), model])),
);

/** By name or alias, in any case, `__` for `::`. */
export function findModel(name: string): PublishedModel | undefined {
  return BY_NAME.get(spelling(name));
}

/** @throws ClipflowError INVALID_MODEL that names the nearest ones */
export function requireModel(name: string): PublishedModel {
  const model = findModel(name);
  if (model) return model;
  throw new ClipflowError(
    'INVALID_MODEL',
    `there is no model "${name}"; the nearest are ${nearestNames(name).join(', ')} (clipflow models lists all)`,
  );
}

/** The published names that are the fewest edits away. */
export function nearestNames(name: string, count = 3): string[] {
  const wanted = spelling(name);
  return [...BY_NAME]
    .map(([known, model]) => ({ name: model.name, distance: editDistance(wanted, known) }))
    .sort((a, b) => a.distance - b.distance)
    .map((one) => one.name)
    .filter((one, index, all) => all.indexOf(one) === index)
    .slice(0, count);
}

/** Levenshtein's. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, char] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const replaced = (row[j] ?? 0) + (char === b[j] ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

const GRAPH = /(^|\/)model\.onnx$/;

/**
 * Which of a repository's files make the model, in the order to fetch them: the graphs come last, so that a snapshot
 * that has them is whole. Formats for other runtimes (armnn, rknn) are left out.
 * @throws ClipflowError INVALID_MODEL when the repository lacks a file
 */
export function selectFiles(model: PublishedModel, repositoryFiles: readonly string[]): string[][] {
  const missing = model.files.filter((file) => !repositoryFiles.includes(file));
  if (missing.length > 0) {
    throw new ClipflowError(
      'INVALID_MODEL',
      `${model.repository} is no ${model.layout} model: ${missing.join(', ')} missing`,
    );
  }
  const files = repositoryFiles.filter(
    (file) =>
      model.files.includes(file) ||
      (/^(textual|visual)\//.test(file) && !/\.(armnn|rknn|onnx)$/.test(file) && !file.includes('/rknpu/')),
  );
  return [files.filter((file) => !GRAPH.test(file)), files.filter((file) => GRAPH.test(file))];
}
