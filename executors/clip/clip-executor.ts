import type { Document } from '../../src/document/document.js';
import { NdArray } from '../../src/document/ndarray.js';
import { createUriLoader } from '../../src/document/uri.js';
import { ClipflowError, toClipflowError } from '../../src/errors.js';
import { toUnitLength } from '../../src/vector.js';
import type { ModelInfo } from '../../src/model-info.js';
import { Executor, type CallContext, type ExecutorContext } from '../executor.js';
import { ClipModel, type Embedded } from './clip-model.js';
import { locateModel } from './locate.js';
import { threadsPerReplica } from './model/threads.js';
import { selectLeaves, type Leaf } from './paths.js';
import { LOGIT_SCALE, rankMatches } from './rank.js';
import { isTokenIds } from './text/token-ids.js';
import {
  DEFAULT_MODEL,
  parseClipParameters,
  parseClipSettings,
  type ClipParameters,
  type ClipSettings,
} from './settings.js';

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
    const { name, model_path, models, device, dtype, minibatch_size } = this.#settings;
    const { limits, uriPolicy, replicasOnMachine, models: folder, log, die } = this.context;
    const loadUri = createUriLoader({ ...uriPolicy, maxBytes: limits.uriBytes, timeoutMs: limits.uriTimeoutMs });
    for (const wanted of models ?? [{ name, model_path }]) {
      const model = await ClipModel.load({
        folder: wanted.model_path ?? (await locateModel(wanted.name ?? DEFAULT_MODEL, { models: folder, log })),
        device,
        dtype,
        intraOpNumThreads: this.#settings.intra_op_num_threads ?? threadsPerReplica(replicasOnMachine),
        batchSize: minibatch_size,
        decoders: this.#settings.num_worker_preprocess,
        trimText: this.#settings.trim_text,
        pruneLastBlock: this.#settings.prune_last_block,
        imageLimits: { pixels: limits.imagePixels, bytes: limits.imageBytes },
        loadUri,
        log,
        die,
      });
      // A folder that nobody has named has a name of its own.
      this.#models.set(wanted.name ?? (wanted.model_path === undefined ? DEFAULT_MODEL : model.spec.name), model);
    }
    this.models = await Promise.all([...this.#models].map(([name, model]) => this.#infoOf(name, model)));
  }

  async #infoOf(name: string, model: ClipModel): Promise<ModelInfo> {
    const { scores = { kind: 'softmax', scale: LOGIT_SCALE }, matryoshka = null } = model.spec;
    const { normalize, dtype } = this.#settings;
    return {
      name,
      endpoint: this.#models.size === 1 ? ENCODE : `${ENCODE}/${name}`,
      dimension: model.dimension,
      scores,
      matryoshka,
      // What is embedded must be the content of the document itself.
      fingerprint: this.context.cached && this.#path === '@r' ? await model.fingerprint({ normalize, dtype }) : null,
    };
  }

  async encode(docs: Document[], context: CallContext): Promise<void> {
    const parameters = parseClipParameters(context.parameters);
    const path = parameters.access_paths ?? parameters.traversal_paths ?? this.#path;
    const images = await this.#embed(selectLeaves(docs, path), parameters, context);
    if (parameters.drop_image_content) images.forEach(({ doc }) => dropContent(doc));
  }

  get #path(): string {
    return this.#settings.traversal_paths ?? this.#settings.access_paths;
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
    const texts = leaves.filter(({ doc }) => isText(doc));
    const images = leaves.filter(({ doc }) => isImage(doc));
    await Promise.all([
      ...batchesOf(texts, size).map(async (batch) => {
        const tokenized = tokenize(model, batch, context);
        const embedded = await model.embedTokens(tokenized.map(({ ids }) => ids));
        this.#keep(tokenized, embedded, context);
        for (const { doc } of batch) doc.mimeType = 'text/plain';
      }),
      ...batchesOf(images, size).map(async (batch) => {
        const contents = batch.map(({ doc }) => doc);
        this.#keep(batch, await model.embedImages(contents, context), context);
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
    return this.#settings.normalize ? toUnitLength(embedding) : embedding;
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

function isText(doc: Document): boolean {
  return doc.contentKind === 'text' || isTokenIds(doc.tensor);
}

function isImage(doc: Document): boolean {
  return ['blob', 'tensor', 'uri'].includes(doc.contentKind) && !isTokenIds(doc.tensor);
}

/** The texts with their ids; those that have none fail. */
function tokenize(model: ClipModel, leaves: readonly Leaf[], context: CallContext): (Leaf & { ids: Int32Array })[] {
  return leaves.flatMap(({ doc, root }) => {
    try {
      const ids = model.tokenize(doc);
      context.count(root, ids.length);
      return [{ doc, root, ids }];
    } catch (error) {
      context.fail(root, toClipflowError(error).toJSON());
      return [];
    }
  });
}

function dropContent(doc: Document): void {
  if (doc.blob) doc.blob = undefined;
  if (doc.tensor) doc.tensor = undefined;
}

function batchesOf(leaves: readonly Leaf[], size: number): Leaf[][] {
  return Array.from({ length: Math.ceil(leaves.length / size) }, (_, i) => leaves.slice(i * size, (i + 1) * size));
}
