import { z } from 'zod';
import { ClipflowError } from '../../../src/errors.js';
import type { Matryoshka, ScoreSpec } from '../../../src/model-info.js';
import { CLEANINGS, type Cleaning } from '../text/clean.js';
import { CLIP_VOCABULARY, findFile, readJson, requireFile, shippedVocabulary } from './model-files.js';

/** How images become pixels: resized to `size` by the shorter side and cropped in the centre, or squashed to the square. */
export interface ImageSpec {
  /** Pixels of a side. */
  size: number;
  /** Of each colour, red first, of values from 0 to 1. */
  mean: [number, number, number];
  std: [number, number, number];
  resize: 'shorter' | 'squash';
  interpolation: 'bicubic' | 'bilinear';
}

/** The tokenizer of the text tower. */
export type TokenizerSpec =
  | { kind: 'clip-bpe'; vocab: string }
  | {
      kind: 'tokenizer-json';
      path: string;
      /** Token that texts are padded with; without it, the one that the file says. */
      padToken?: string;
      /** How texts are cleaned before the file's own normalizer; without it, not at all. */
      clean?: Cleaning;
    };

/** What the files beside the graphs say; a size that they don't give is the graph's. */
export interface FolderSettings {
  name?: string | undefined;
  tokenizer: TokenizerSpec;
  contextLength: number | undefined;
  image: Omit<ImageSpec, 'size'> & { size: number | undefined };
  /** Only where config.json gives the learned `logit_scale` (and, for a sigmoid, `logit_bias`). */
  scores?: ScoreSpec | undefined;
  embedDim?: number | undefined;
  /** Only where config.json says that embeddings may be cut. */
  matryoshka?: Matryoshka | undefined;
}

const positive = z.int().positive();
const colours = z.tuple([z.number(), z.number(), z.number()]);
const interpolation = z.enum(['bicubic', 'bilinear']);
/** A number, or the two of a square: [height, width]. */
const square = z.union([
  positive,
  z
    .tuple([positive, positive])
    .refine(([height, width]) => height === width, 'must be square')
    .transform(([side]) => side),
]);

// OpenAI CLIP's (clip/clip.py, _transform), which every model of CLIP-as-service's default family uses.
const CLIP_MEAN: ImageSpec['mean'] = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD: ImageSpec['std'] = [0.26862954, 0.26130258, 0.27577711];

/**
 * Learned with the weights; exports leave the logits' out, so they stand in config.json where somebody put them. The
 * keys of matryoshka models are those that Jina's models have and vLLM reads.
 */
const learned = {
  logit_scale: z.number().positive(),
  logit_bias: z.number(),
  is_matryoshka: z.boolean(),
  matryoshka_dimensions: z.array(positive).min(1),
};

function matryoshkaOf(config: {
  is_matryoshka?: boolean | undefined;
  matryoshka_dimensions?: number[] | undefined;
}): Matryoshka | undefined {
  return config.matryoshka_dimensions ?? (config.is_matryoshka ? 'any' : undefined);
}

function scoresOf(config: {
  logit_scale?: number | undefined;
  logit_bias?: number | undefined;
}): ScoreSpec | undefined {
  const { logit_scale: scale, logit_bias: bias } = config;
  if (scale === undefined) return undefined;
  return bias === undefined ? { kind: 'softmax', scale } : { kind: 'sigmoid', scale, bias };
}

const clipAsServiceConfig = z
  .object({
    name: z.string(),
    embed_dim: positive,
    image_size: positive,
    mean: colours,
    std: colours,
    interpolation,
    resize: z.enum(['shorter side', 'squash']),
    context_length: positive,
    vocab: z.string(),
    ...learned,
  })
  .partial();

/** CLIP-as-service: OpenAI CLIP's preprocessing and vocabulary unless a config.json says otherwise. */
export async function readClipAsService(folder: string): Promise<FolderSettings> {
  const path = await findFile(folder, ['config.json']);
  const config = path === undefined ? {} : await readJson(path, clipAsServiceConfig);
  const vocab = config.vocab
    ? await requireFile(folder, [config.vocab])
    : ((await findFile(folder, [CLIP_VOCABULARY])) ?? (await shippedVocabulary()));
  return {
    name: config.name,
    tokenizer: { kind: 'clip-bpe', vocab },
    contextLength: config.context_length,
    image: {
      size: config.image_size,
      mean: config.mean ?? CLIP_MEAN,
      std: config.std ?? CLIP_STD,
      resize: config.resize === 'squash' ? 'squash' : 'shorter',
      interpolation: config.interpolation ?? 'bicubic',
    },
    scores: scoresOf(config),
    matryoshka: matryoshkaOf(config),
    embedDim: config.embed_dim,
  };
}

const openClipConfig = z.object({
  ...z.object(learned).partial().shape,
  embed_dim: positive.optional(),
  vision_cfg: z.object({ image_size: square.optional() }),
  text_cfg: z.object({
    context_length: positive.optional(),
    hf_tokenizer_name: z.string().optional(),
    tokenizer_kwargs: z.object({ clean: z.enum(CLEANINGS).optional() }).optional(),
  }),
});

const openClipPreprocessing = z.object({
  size: square,
  mean: colours,
  std: colours,
  interpolation,
  resize_mode: z.enum(['shortest', 'squash']).default('shortest'),
});

/** open_clip's settings as Immich publishes them beside its graphs. */
export async function readOpenClip(folder: string): Promise<FolderSettings> {
  const config = await readJson(await requireFile(folder, ['config.json']), openClipConfig);
  const image = await readJson(
    await requireFile(folder, ['visual/preprocess_cfg.json', 'preprocess_cfg.json']),
    openClipPreprocessing,
  );
  const tokenizer = await requireFile(folder, ['textual/tokenizer.json', 'tokenizer.json']);
  const files = ['textual/tokenizer_config.json', 'tokenizer_config.json'];
  const { padToken, isClip } = await readTokenizerConfig(folder, files);
  // open_clip's defaults for its own and for Hugging Face's tokenizers. Multilingual CLIP, whose config.json is that of
  // its image tower, cleans nothing.
  const { hf_tokenizer_name, tokenizer_kwargs, context_length } = config.text_cfg;
  const clean = tokenizer_kwargs?.clean ?? (hf_tokenizer_name ? 'whitespace' : isClip ? 'lower' : undefined);
  return {
    tokenizer: {
      kind: 'tokenizer-json',
      path: tokenizer,
      ...(padToken !== undefined && { padToken }),
      ...(clean !== undefined && { clean }),
    },
    contextLength: context_length,
    image: {
      size: image.size,
      mean: image.mean,
      std: image.std,
      resize: image.resize_mode === 'squash' ? 'squash' : 'shorter',
      interpolation: image.interpolation,
    },
    scores: scoresOf(config),
    matryoshka: matryoshkaOf(config),
    embedDim: config.embed_dim,
  };
}

const heightAndWidth = z.object({ height: positive, width: positive });

const huggingFacePreprocessor = z.object({
  size: z.union([positive, z.object({ shortest_edge: positive }), heightAndWidth]),
  crop_size: z.union([positive, heightAndWidth]).optional(),
  do_center_crop: z.boolean().optional(),
  image_mean: colours,
  image_std: colours,
  // PIL's numbers.
  resample: z.union([z.literal(2), z.literal(3)]).default(3),
});

const huggingFaceConfig = z
  .object({
    ...learned,
    projection_dim: positive,
    text_config: z.object({ max_position_embeddings: positive.optional() }),
  })
  .partial();

/** Hugging Face's settings as `optimum-cli export onnx` and transformers.js leave them. */
export async function readHuggingFace(folder: string): Promise<FolderSettings> {
  const preprocessor = await requireFile(folder, ['preprocessor_config.json']);
  const image = await readJson(preprocessor, huggingFacePreprocessor);
  const tokenizer = await requireFile(folder, ['tokenizer.json']);
  const { padToken, maxLength } = await readTokenizerConfig(folder, ['tokenizer_config.json']);
  const path = await findFile(folder, ['config.json']);
  const config = path === undefined ? {} : await readJson(path, huggingFaceConfig);
  return {
    tokenizer: {
      kind: 'tokenizer-json',
      path: tokenizer,
      ...(padToken !== undefined && { padToken }),
    },
    contextLength: config.text_config?.max_position_embeddings ?? maxLength,
    image: {
      ...resizing(preprocessor, image),
      mean: image.image_mean,
      std: image.image_std,
      interpolation: image.resample === 2 ? 'bilinear' : 'bicubic',
    },
    scores: scoresOf(config),
    matryoshka: matryoshkaOf(config),
    embedDim: config.projection_dim,
  };
}

function resizing(
  path: string,
  { size, crop_size, do_center_crop }: z.infer<typeof huggingFacePreprocessor>,
): { size: number; resize: ImageSpec['resize'] } {
  if (typeof size === 'object' && 'height' in size) {
    if (size.height === size.width) return { size: size.height, resize: 'squash' };
  } else {
    const side = typeof size === 'number' ? size : size.shortest_edge;
    const crop = typeof crop_size === 'object' ? crop_size : { height: crop_size ?? side, width: crop_size ?? side };
    if (do_center_crop !== false && crop.height === side && crop.width === side)
      return { size: side, resize: 'shorter' };
  }
  throw new ClipflowError(
    'INVALID_MODEL',
    `${path}: images are either squashed to a square 'size', or resized to 'shortest_edge' and cropped to a square of ` +
      `as many pixels; it says size ${JSON.stringify(size)}, crop_size ${JSON.stringify(crop_size)}.`,
  );
}

const tokenizerConfig = z.object({
  model_max_length: z.number().optional(),
  pad_token: z.union([z.string(), z.object({ content: z.string() }).transform(({ content }) => content)]).nullish(),
  tokenizer_class: z.string().optional(),
});

/** Numbers from this one on stand for `no limit` (transformers writes 1e30). */
const NO_LENGTH_LIMIT = 100_000;

async function readTokenizerConfig(
  folder: string,
  names: readonly string[],
): Promise<{ padToken?: string | undefined; maxLength?: number | undefined; isClip: boolean }> {
  const path = await findFile(folder, names);
  if (path === undefined) return { isClip: false };
  const { pad_token, model_max_length: length, tokenizer_class } = await readJson(path, tokenizerConfig);
  return {
    padToken: pad_token ?? undefined,
    maxLength: length !== undefined && length < NO_LENGTH_LIMIT ? length : undefined,
    isClip: tokenizer_class?.startsWith('CLIPTokenizer') ?? false,
  };
}
