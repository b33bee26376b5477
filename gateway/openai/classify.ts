import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ScoreSpec } from '../../src/model-info.js';
import { cosine } from '../../src/vector.js';
import type { ProtocolContext } from '../protocol-context.js';
import { parseBody } from './body.js';
import { readContent, readContents, type Content } from './content.js';
import { embed, findModel, usageOf } from './embed.js';

/** What Jina's clients send, and `template`. */
const Body = z.object({
  model: z.string().optional(),
  input: z.array(z.unknown()),
  labels: z.array(z.string()).min(1, 'must not be empty'),
  /** Makes a label a caption for images; `{}` stands for the label. CLIP's own by default. */
  template: z.string().includes('{}', 'must have {} in the place of the label').default('a photo of a {}.'),
});

/** Zero-shot: which label fits best. Images are compared with captions of the labels, texts with the labels as such. */
export async function postClassify(context: ProtocolContext, http: FastifyRequest, reply: FastifyReply) {
  const { labels, template, ...body } = parseBody(Body, http.body);
  const model = findModel(context, body.model);
  const inputs = readContents(body.input, 'input');
  const captions = {
    text: readContents(labels, 'labels'),
    image: labels.map((label, i) => caption(label, template, i)),
  };
  const kinds = [...new Set(inputs.map(({ kind }) => kind))];
  const contents = [...inputs, ...kinds.flatMap((kind) => captions[kind])];
  const embedded = await embed(context, { route: '/v1/classify', model, contents }, http, reply);
  const vectorsOf = (kind: Content['kind']): Float32Array[] => {
    const start = inputs.length + kinds.indexOf(kind) * labels.length;
    return embedded.vectors.slice(start, start + labels.length);
  };
  const data = inputs.map(({ kind }, index) => {
    const vector = embedded.vectors[index] ?? new Float32Array();
    const scores = scoresOf(
      vectorsOf(kind).map((label) => cosine(vector, label)),
      model.info.scores,
    );
    const predictions = labels.map((label, place) => ({ label, score: scores[place] ?? 0 }));
    const best = predictions.reduce((a, b) => (b.score > a.score ? b : a));
    return { object: 'classification', index, prediction: best.label, score: best.score, predictions };
  });
  return { object: 'list', model: model.info.name, data, usage: usageOf(embedded) };
}

function caption(label: string, template: string, index: number): Content {
  return readContent(
    template.replaceAll('{}', () => label),
    `labels[${index}]`,
  );
}

/** By the logit scale that the model was trained to: CLIP's softmax over the labels, or SigLIP's sigmoid of each. */
function scoresOf(cosines: readonly number[], spec: ScoreSpec): number[] {
  if (spec.kind === 'sigmoid') return cosines.map((one) => 1 / (1 + Math.exp(-(spec.scale * one + spec.bias))));
  const greatest = Math.max(...cosines);
  const weights = cosines.map((one) => Math.exp(spec.scale * (one - greatest)));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}
