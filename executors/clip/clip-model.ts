import type { Logger } from 'pino';
import type { Document } from '../../src/document/document.js';
import type { UriLoader } from '../../src/document/uri.js';
import { ClipflowError, toClipflowError } from '../../src/errors.js';
import { preprocessImage, type ImageTransform } from './image/preprocess.js';
import { preprocessTensor } from './image/tensor.js';
import { imageFeeds, imageSample, textFeeds, textSample } from './model/feeds.js';
import { readModelFolder, type ModelSpec } from './model/folder.js';
import { fixedBatch } from './model/graph.js';
import { createSession, type Session } from './model/session.js';
import type { Feeds } from './model/tensor.js';
import { loadClipBpe } from './text/clip-bpe.js';
import { loadTokenizerJson } from './text/tokenizer-json.js';
import type { TextTokenizer } from './text/tokenizer.js';

export interface ClipModelOptions {
  /** Model folder in one of the layouts that `readModelFolder` knows. */
  folder: string;
  device: string;
  intraOpNumThreads: number;
  /** Batches are at most this large: what the sessions are warmed up with. */
  batchSize: number;
  /** Images decoded at once. */
  decoders: number;
  imageLimits: ImageTransform['limits'];
  loadUri: UriLoader;
  log: Logger;
  /** A session is gone, and the replica with it. */
  die: (error: ClipflowError) => void;
}

/** An embedding, or why there is none. */
export type Embedded = Float32Array | ClipflowError;

/** A CLIP model: two towers, each with its preparation. */
export class ClipModel {
  /** One run at a time: a second one beside it would take the threads from the first. */
  #running: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly spec: ModelSpec,
    private readonly tokenizer: TextTokenizer,
    private readonly textual: Session,
    private readonly visual: Session,
    private readonly transform: ImageTransform,
    private readonly options: ClipModelOptions,
  ) {}

  /** @throws INVALID_MODEL or DEVICE_UNAVAILABLE; resolves when every batch that comes will be quick */
  static async load(options: ClipModelOptions): Promise<ClipModel> {
    const { folder, device, intraOpNumThreads, log, die, batchSize } = options;
    const spec = await readModelFolder(folder);
    const common = { device, intraOpNumThreads, log, onExit: die };
    const [tokenizer, textual, visual] = await Promise.all([
      loadTokenizer(spec),
      createSession({ ...common, path: spec.textual, sample: textSample(spec) }),
      createSession({ ...common, path: spec.visual, sample: imageSample(spec.image.size) }),
    ]);
    const transform: ImageTransform = { ...spec.image, limits: options.imageLimits };
    for (const session of [textual, visual]) {
      await session.warmUp(fixedBatch(session.inputs) === undefined ? [1, batchSize] : [1]);
    }
    log.info({
      event: 'model_loaded',
      model: spec.name,
      layout: spec.layout,
      device,
      providers: visual.providers,
      threads: intraOpNumThreads,
    });
    return new ClipModel(spec, tokenizer, textual, visual, transform, options);
  }

  async embedTexts(texts: readonly string[]): Promise<Embedded[]> {
    const ids = texts.map((text) => this.tokenizer.encode(text));
    return this.#runs(this.textual, ids.length, (start, end) =>
      textFeeds(this.textual, ids.slice(start, end), this.spec, this.tokenizer.padId),
    );
  }

  /** Documents with a blob, tensor or uri. One that is no image gets its error, the others their embeddings. */
  async embedImages(docs: readonly Document[], signal: AbortSignal): Promise<Embedded[]> {
    const { size } = this.spec.image;
    const pixelsPerImage = 3 * size * size;
    const pixels = this.visual.allocate('float32', docs.length * pixelsPerImage);
    const failures = new Map<number, ClipflowError>();
    await inParallel(docs.length, this.options.decoders, async (index) => {
      const [doc, out] = [docs[index], pixels.subarray(index * pixelsPerImage, (index + 1) * pixelsPerImage)];
      try {
        if (doc) await this.#prepare(doc, out, signal);
      } catch (error) {
        failures.set(index, toClipflowError(error));
      }
    });
    const good = docs.map((_, index) => index).filter((index) => !failures.has(index));
    // The embeddable ones move up, so that the batch has no holes.
    good.forEach((index, row) => {
      if (index !== row) pixels.copyWithin(row * pixelsPerImage, index * pixelsPerImage, (index + 1) * pixelsPerImage);
    });
    const embeddings = good.length === 0 ? [] : await this.#embedPixels(pixels, good.length, pixelsPerImage);
    const rows = new Map(good.map((index, row) => [index, embeddings[row]]));
    return docs.map((_, index) => failures.get(index) ?? rows.get(index) ?? unanswered());
  }

  async close(): Promise<void> {
    await Promise.all([this.textual.close(), this.visual.close()]);
  }

  #embedPixels(pixels: Float32Array<ArrayBuffer>, count: number, pixelsPerImage: number): Promise<Embedded[]> {
    return this.#runs(this.visual, count, (start, end) => {
      const part = pixels.subarray(start * pixelsPerImage, end * pixelsPerImage);
      // What is run moves to the session with its whole buffer, so a part that is not all needs one of its own.
      const own = end - start === count ? part : this.visual.allocate('float32', part.length);
      if (own !== part) own.set(part);
      return imageFeeds(this.visual, own, this.spec.image.size);
    });
  }

  async #prepare(doc: Document, out: Float32Array, signal: AbortSignal): Promise<void> {
    if (doc.tensor) return preprocessTensor(doc.tensor, this.transform, out);
    const bytes = doc.blob ?? (await this.options.loadUri(doc.uri, signal)).bytes;
    return preprocessImage(bytes, this.transform, out);
  }

  /** Computes `count` documents at once, or one by one where the graph takes no more. */
  async #runs(session: Session, count: number, feeds: (start: number, end: number) => Feeds): Promise<Embedded[]> {
    const step = fixedBatch(session.inputs) ?? count;
    const embedded: Embedded[] = [];
    for (let start = 0; start < count; start += step) {
      embedded.push(...(await this.#run(session, feeds(start, start + step), step)));
    }
    return embedded;
  }

  async #run(session: Session, feeds: Feeds, count: number): Promise<Embedded[]> {
    const run = this.#running.then(() => session.run(feeds));
    this.#running = run.catch(() => {});
    const { data } = await run;
    const width = data.length / count;
    return Array.from({ length: count }, (_, row) => data.subarray(row * width, (row + 1) * width));
  }
}

async function loadTokenizer({ tokenizer, contextLength }: ModelSpec): Promise<TextTokenizer> {
  if (tokenizer.kind === 'clip-bpe') return loadClipBpe(tokenizer.vocab, contextLength);
  return loadTokenizerJson(tokenizer.path, { ...tokenizer, contextLength });
}

async function inParallel(count: number, width: number, task: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, worker));
}

function unanswered(): ClipflowError {
  return new ClipflowError('INTERNAL', 'the model gave no embedding for this document');
}
