import type { Logger } from 'pino';
import type { Document } from '../../src/document/document.js';
import type { UriLoader } from '../../src/document/uri.js';
import { ClipflowError, toClipflowError } from '../../src/errors.js';
import type { JsonObject } from '../../src/json.js';
import type { CallContext } from '../executor.js';
import { preprocessImage, type ImageTransform } from './image/preprocess.js';
import { preprocessTensor } from './image/tensor.js';
import { embedPixels, embedTexts, type Run } from './model/embed.js';
import { imageSample, textSample } from './model/feeds.js';
import { fingerprintOf } from './model/fingerprint.js';
import { readModelFolder, type Dtype, type ModelSpec } from './model/folder.js';
import { fixedBatch } from './model/graph.js';
import { optimizeImage, type ImageTower } from './model/optimize/image-tower.js';
import { groupByLength } from './model/optimize/lengths.js';
import type { GraphFile } from './model/optimize/optimize.js';
import { optimizeText, type TextTower } from './model/optimize/text-tower.js';
import { createSession, type Session, type SessionOptions } from './model/session.js';
import { loadClipBpe } from './text/clip-bpe.js';
import { readTokenIds } from './text/token-ids.js';
import { loadTokenizerJson } from './text/tokenizer-json.js';
import type { TextTokenizer } from './text/tokenizer.js';

export interface ClipModelOptions {
  /** Model folder in one of the layouts that `readModelFolder` knows. */
  folder: string;
  /** @default fp32 */
  dtype?: Dtype;
  device: string;
  intraOpNumThreads: number;
  /** Batches are at most this large: what the sessions are warmed up with. */
  batchSize: number;
  /** Computes texts no further than their end, where that changes nothing. @default true */
  trimText?: boolean;
  /** Computes the last block of each tower only where its vector is taken from, where that changes nothing. @default true */
  pruneLastBlock?: boolean;
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
    /** Numbers of an embedding. */
    readonly dimension: number,
    private readonly tokenizer: TextTokenizer,
    private readonly text: TextTower,
    private readonly image: ImageTower,
    private readonly transform: ImageTransform,
    private readonly options: ClipModelOptions,
  ) {}

  /** @throws INVALID_MODEL or DEVICE_UNAVAILABLE; resolves when every batch that comes will be quick */
  static async load(options: ClipModelOptions): Promise<ClipModel> {
    const { folder, device, intraOpNumThreads, log, die, batchSize, trimText = true, pruneLastBlock = true } = options;
    const spec = await readModelFolder(folder, options.dtype);
    const common = { device, intraOpNumThreads, log, onExit: die };
    const tokenizer = await loadTokenizer(spec);
    const [text, image] = await Promise.all([
      loadText(
        { ...common, path: spec.textual, sample: textSample(spec.contextLength) },
        tokenizer,
        trimText,
        pruneLastBlock,
      ),
      loadImage(
        { ...common, path: spec.visual, sample: imageSample(spec.image.size) },
        spec.image.size,
        pruneLastBlock,
      ),
    ]);
    const transform: ImageTransform = { ...spec.image, limits: options.imageLimits };
    const dimension = await warmUpText(text, batchSize);
    const { session: visual } = image;
    await visual.warmUp(batchSizes(visual, batchSize));
    for (const session of [text.session, visual]) session.watch();
    log.info({
      event: 'model_loaded',
      model: spec.name,
      layout: spec.layout,
      device,
      providers: visual.providers,
      threads: intraOpNumThreads,
    });
    return new ClipModel(spec, dimension, tokenizer, text, image, transform, options);
  }

  /** Changes with anything that changes embeddings. Reads the model's files, which may take seconds. */
  fingerprint(settings: JsonObject): Promise<string> {
    const { text, image } = this;
    const optimized = [text.lengths, text.pruned, image.pruned];
    return fingerprintOf(this.spec, [image.session.providers, ...optimized, settings]);
  }

  /** The ids of a text, or of one that came as ids; throws INVALID_DOCUMENT when these are none of the model's. */
  tokenize({ tensor, text = '' }: Pick<Document, 'tensor' | 'text'>): Int32Array {
    return tensor ? readTokenIds(tensor, this.tokenizer) : this.tokenizer.encode(text);
  }

  embedTexts(texts: readonly string[]): Promise<Embedded[]> {
    return this.embedTokens(texts.map((text) => this.tokenizer.encode(text)));
  }

  async embedTokens(ids: readonly Int32Array[]): Promise<Embedded[]> {
    const { session, lengths } = this.text;
    const embedded = new Array<Embedded>(ids.length);
    const groups = groupByLength(ids, lengths).map(async ({ length, texts: group }) => {
      const padded = group.map((text) => text.ids);
      const vectors = await embedTexts(session, this.#inTurn(session), padded, length, this.tokenizer.padId);
      group.forEach(({ row }, index) => (embedded[row] = vectors[index] ?? unanswered()));
    });
    await Promise.all(groups);
    return embedded;
  }

  /**
   * Documents with a blob, tensor or uri. One that is no image gets its error, the others their embeddings.
   * @param call its signal ends what is fetched, and is made only then
   */
  async embedImages(docs: readonly Document[], call: Pick<CallContext, 'signal'>): Promise<Embedded[]> {
    const { size } = this.spec.image;
    const { session } = this.image;
    const pixelsPerImage = 3 * size * size;
    const pixels = session.allocate('float32', docs.length * pixelsPerImage);
    const failures = new Map<number, ClipflowError>();
    await inParallel(docs.length, this.options.decoders, async (index) => {
      const [doc, out] = [docs[index], pixels.subarray(index * pixelsPerImage, (index + 1) * pixelsPerImage)];
      try {
        if (doc) await this.#prepare(doc, out, call);
      } catch (error) {
        failures.set(index, toClipflowError(error));
      }
    });
    const good = docs.map((_, index) => index).filter((index) => !failures.has(index));
    // The embeddable ones move up, so that the batch has no holes.
    good.forEach((index, row) => {
      if (index !== row) pixels.copyWithin(row * pixelsPerImage, index * pixelsPerImage, (index + 1) * pixelsPerImage);
    });
    const embeddings = await embedPixels(session, this.#inTurn(session), pixels, good.length, size);
    const rows = new Map(good.map((index, row) => [index, embeddings[row]]));
    return docs.map((_, index) => failures.get(index) ?? rows.get(index) ?? unanswered());
  }

  async close(): Promise<void> {
    await Promise.all([this.text.session.close(), this.image.session.close()]);
  }

  async #prepare(doc: Document, out: Float32Array, call: Pick<CallContext, 'signal'>): Promise<void> {
    if (doc.tensor) return preprocessTensor(doc.tensor, this.transform, out);
    const bytes = doc.blob ?? (await this.options.loadUri(doc.uri, call.signal)).bytes;
    return preprocessImage(bytes, this.transform, out);
  }

  #inTurn(session: Session): Run {
    return (feeds) => {
      const run = this.#running.then(() => session.run(feeds));
      this.#running = run.catch(() => {});
      return run;
    };
  }
}

async function loadText(
  options: SessionOptions,
  tokenizer: TextTokenizer,
  trim: boolean,
  prune: boolean,
): Promise<TextTower> {
  const session = await createSession(options);
  if (!trim && !prune) return { session, lengths: [tokenizer.contextLength], pruned: false };
  return optimizeText(session, { ...reopened(session, options), tokenizer, trim, prune });
}

async function loadImage(options: SessionOptions, size: number, prune: boolean): Promise<ImageTower> {
  const session = await createSession(options);
  return prune ? optimizeImage(session, size, reopened(session, options)) : { session, pruned: false };
}

function reopened(session: Session, options: SessionOptions): GraphFile {
  // What `auto` came to: the same again, rather than another try.
  const found = session.providers.find((provider) => provider !== 'cpu') ?? 'cpu';
  const device = options.device === 'auto' ? found : options.device;
  const { path, log } = options;
  return { path, log, open: (model) => createSession({ ...options, device, model }) };
}

/** Returns the numbers of an embedding. */
async function warmUpText({ session, lengths }: TextTower, batchSize: number): Promise<number> {
  let dimension = 0;
  // On a CPU the first run of a shape takes some milliseconds more, and the longest makes it reserve the memory.
  const warmed = session.providers[0] === 'cpu' ? lengths.slice(-1) : lengths;
  for (const length of warmed) {
    const sample = textSample(length);
    for (const size of batchSizes(session, batchSize)) {
      const { data } = await session.run(sample(session, size));
      dimension = data.length / size;
    }
  }
  return dimension;
}

/** The smallest and the largest batch that `session` is run with. */
function batchSizes({ inputs }: Session, batchSize: number): number[] {
  return fixedBatch(inputs) === undefined ? [1, batchSize] : [1];
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
