import type { Document } from '../../src/document/document.js';
import { NdArray } from '../../src/document/ndarray.js';
import { createUriLoader } from '../../src/document/uri.js';
import { ClipflowError } from '../../src/errors.js';
import { Executor, type CallContext, type ExecutorContext } from '../executor.js';
import { ClipModel, type Embedded } from './clip-model.js';
import { locateModel } from './locate.js';
import { threadsPerReplica } from './model/threads.js';
import { selectLeaves, type Leaf } from './paths.js';
import { rankMatches } from './rank.js';
import { parseClipParameters, parseClipSettings, type ClipParameters, type ClipSettings } from './settings.js';

const ENCODE = '/encode';

/**
 * Embeds texts and images with CLIP. As published, it serves every endpoint by encoding; `/encode/<model>` chooses
 * among several models.
 */
export class ClipExecutor extends Executor {
  static override requests = { [ENCODE]: 'encode', '/': 'encode', '/rank': 'rank', '/default': 'encode' };

  readonly #settings: ClipSettings;
  /** By name; the first one is the default. */
  readonly #models = new Map<string, ClipModel>();

  constructor(context: ExecutorContext) {
    super(context);
    this.#settings = parseClipSettings(context.name, context.with);
    this.batchSize = this.#settings.minibatch_size;
  }

  override async setup(): Promise<void> {
    const { name, model_path, models, device, dtype, minibatch_size, num_worker_preprocess, trim_text } =
      this.#settings;
    const { limits, uriPolicy, replicasOnMachine, models: folder, log, die } = this.context;
    const loadUri = createUriLoader({ ...uriPolicy, maxBytes: limits.uriBytes, timeoutMs: limits.uriTimeoutMs });
    for (const wanted of models ?? [{ name, model_path }]) {
      const model = await ClipModel.load({
        folder: wanted.model_path ?? (await locateModel(wanted.name, { models: folder, log })),
        device,
        dtype,
        intraOpNumThreads: this.#settings.intra_op_num_threads ?? threadsPerReplica(replicasOnMachine),
        batchSize: minibatch_size,
        decoders: num_worker_preprocess,
        trimText: trim_text,
        imageLimits: { pixels: limits.imagePixels, bytes: limits.imageBytes },
        loadUri,
        log,
        die,
      });
      this.#models.set(wanted.name, model);
    }
  }

  async encode(docs: Document[], context: CallContext): Promise<void> {
    const parameters = parseClipParameters(context.parameters);
    const { access_paths, traversal_paths } = this.#settings;
    const path = parameters.access_paths ?? parameters.traversal_paths ?? traversal_paths ?? access_paths;
    const images = await this.#embed(selectLeaves(docs, path), parameters, context);
    if (parameters.drop_image_content) images.forEach(({ doc }) => dropContent(doc));
  }

  /** Queries keep their embeddings; contents are kept whatever the parameters say, as published. */
  async rank(docs: Document[], context: CallContext): Promise<void> {
    await this.#embed(selectLeaves(docs, '@r,m'), parseClipParameters(context.parameters), context);
    for (const doc of docs) rankMatches(doc);
  }

  /** Embeds texts and images; returns those that are images. */
  async #embed(leaves: readonly Leaf[], parameters: ClipParameters, context: CallContext): Promise<Leaf[]> {
    const size = parameters.minibatch_size ?? this.#settings.minibatch_size;
    const model = this.#modelFor(context.endpoint);
    const texts = leaves.filter(({ doc }) => doc.contentKind === 'text');
    const images = leaves.filter(({ doc }) => isImage(doc));
    await Promise.all([
      ...batchesOf(texts, size).map(async (batch) => {
        const embedded = await model.embedTexts(batch.map(({ doc }) => doc.text ?? ''));
        this.#keep(batch, embedded, context);
        for (const { doc } of batch) doc.mimeType = 'text/plain';
      }),
      ...batchesOf(images, size).map(async (batch) => {
        const contents = batch.map(({ doc }) => doc);
        this.#keep(batch, await model.embedImages(contents, context.signal), context);
      }),
    ]);
    return images;
  }

  override async close(): Promise<void> {
    await Promise.all([...this.#models.values()].map((model) => model.close()));
  }

  #keep(leaves: readonly Leaf[], embedded: readonly Embedded[], context: CallContext): void {
    leaves.forEach(({ doc, root }, index) => {
      const result = embedded[index];
      if (result instanceof Float32Array) doc.embedding = NdArray.fromFloat32(this.#scaled(result));
      else if (result) context.fail(root, result.toJSON());
    });
  }

  #scaled(embedding: Float32Array): Float32Array {
    if (!this.#settings.normalize) return embedding;
    const norm = Math.hypot(...embedding);
    return norm === 0 ? embedding : embedding.map((value) => value / norm);
  }

  #modelFor(endpoint: string): ClipModel {
    const [first] = this.#models.values();
    if (!first) throw new ClipflowError('INTERNAL', 'no model is loaded');
    // With one model every endpoint is its own, as published.
    if (this.#models.size === 1 || !endpoint.startsWith(`${ENCODE}/`)) return first;
    const name = endpoint.slice(ENCODE.length + 1);
    const model = this.#models.get(name);
    if (model) return model;
    const known = [...this.#models.keys()].join(', ');
    throw new ClipflowError('UNKNOWN_MODEL', `executor ${this.context.name} has no model "${name}"; it has: ${known}`);
  }
}

function isImage(doc: Document): boolean {
  return ['blob', 'tensor', 'uri'].includes(doc.contentKind);
}

function dropContent(doc: Document): void {
  if (doc.blob) doc.blob = undefined;
  if (doc.tensor) doc.tensor = undefined;
}

function batchesOf(leaves: readonly Leaf[], size: number): Leaf[][] {
  return Array.from({ length: Math.ceil(leaves.length / size) }, (_, i) => leaves.slice(i * size, (i + 1) * size));
}
