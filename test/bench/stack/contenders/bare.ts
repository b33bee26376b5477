import { InferenceSession, Tensor } from 'onnxruntime-node';
import {
  DEFAULT_MAX_PIXELS,
  preprocessImage,
  type ImageTransform,
} from '../../../../executors/clip/image/preprocess.js';
import { imageFeeds, textFeeds } from '../../../../executors/clip/model/feeds.js';
import { readModelFolder, type ModelSpec } from '../../../../executors/clip/model/folder.js';
import type { GraphValue } from '../../../../executors/clip/model/graph.js';
import { readGraphInputs } from '../../../../executors/clip/model/onnx-header.js';
import { sessionOptions } from '../../../../executors/clip/model/session-options.js';
import { BufferPool, buffersOf, type Feeds } from '../../../../executors/clip/model/tensor.js';
import { loadClipBpe } from '../../../../executors/clip/text/clip-bpe.js';
import type { Call, Contender, Models } from '../contender.js';
import type { Content } from '../../workload.js';

/** What the stack is measured against: the same preparation and the graphs as published, in one loop, nothing around. */
export async function openBare(models: Models, threads: number): Promise<Contender> {
  const measured = await openLoop(models.measured, threads);
  const warmUp = models['warm-up'] === undefined ? undefined : await openLoop(models['warm-up'], threads);
  return {
    prepare(batch, model) {
      const loop = model === 'measured' ? measured : warmUp;
      if (!loop) throw new Error('there is no model to warm up with');
      return loop(batch);
    },
  };
}

async function openLoop(model: string, threads: number): Promise<(batch: readonly Content[]) => Call> {
  const spec = await readModelFolder(model);
  const textual = await openBareText(spec, threads);
  const visual = await Tower.load(spec.visual, threads);
  const transform: ImageTransform = { ...spec.image, limits: { pixels: DEFAULT_MAX_PIXELS, bytes: Infinity } };
  const { size } = spec.image;
  const values = 3 * size * size;

  const embedImages = async (images: readonly Uint8Array[]): Promise<Float32Array> => {
    const pixels = visual.allocate('float32', images.length * values);
    // As many at once as libuv has threads: four, as many as a replica decodes.
    await Promise.all(
      images.map((image, i) => preprocessImage(image, transform, pixels.subarray(i * values, (i + 1) * values))),
    );
    return visual.run(imageFeeds(visual, pixels, size));
  };
  return (batch) => {
    const texts = batch.flatMap((content) => ('text' in content ? [content.text] : []));
    const images = batch.flatMap((content) => ('image' in content ? [content.image] : []));
    const embed = texts.length > 0 ? () => textual.embedTexts(texts) : () => embedImages(images);
    return async () => {
      const embeddings = await embed();
      return () => embeddings.subarray(0, embeddings.length / batch.length);
    };
  };
}

export interface BareText {
  /** (N, width), flat. */
  embedTexts(texts: readonly string[]): Promise<Float32Array>;
  close(): Promise<void>;
}

/** The text tower as published: it pads every text to the context length. */
export async function openBareText({ tokenizer: from, ...spec }: ModelSpec, threads: number): Promise<BareText> {
  if (from.kind !== 'clip-bpe') throw new Error(`${spec.name}: the bare loop knows CLIP's own tokenizer only`);
  const tokenizer = await loadClipBpe(from.vocab, spec.contextLength);
  const textual = await Tower.load(spec.textual, threads);
  return {
    embedTexts: (texts) => {
      const ids = texts.map((text) => tokenizer.encode(text));
      return textual.run(textFeeds(textual, ids, spec.contextLength, tokenizer.padId));
    },
    close: () => textual.close(),
  };
}

/** A session in the thread of the loop itself, with the options that a replica's has. */
class Tower {
  readonly #pool = new BufferPool();
  readonly allocate = this.#pool.allocate.bind(this.#pool);
  readonly free = this.#pool.free.bind(this.#pool);

  private constructor(
    readonly inputs: readonly GraphValue[],
    private readonly session: InferenceSession,
  ) {}

  static async load(path: string, threads: number): Promise<Tower> {
    const options = sessionOptions({ path, provider: 'cpu', deviceId: 0, intraOpNumThreads: threads });
    const session = await InferenceSession.create(path, options);
    return new Tower(await readGraphInputs(path), session);
  }

  async run(feeds: Feeds): Promise<Float32Array> {
    const tensors = Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new Tensor(type, data, dims)]);
    const results = await this.session.run(Object.fromEntries(tensors) as Record<string, Tensor>);
    this.#pool.release(buffersOf(feeds));
    const [output] = Object.values(results);
    if (!(output?.data instanceof Float32Array)) throw new Error('the graph gives no float32');
    return output.data;
  }

  close(): Promise<void> {
    return this.session.release();
  }
}
