import { Unfit, type GraphParts } from './graph-parts.js';
import { integersAttribute, NODE, TENSOR, VALUE } from './onnx.js';
import { texts } from './protobuf.js';

/** A node of a graph. */
export interface Node {
  /** NodeProto. */
  bytes: Uint8Array;
  opType: string;
  inputs: string[];
  outputs: string[];
}

/**
 * The last block of a pre-norm transformer, as ViTs and CLIP's text towers are made of:
 * `after = residual + projection(heads)`, `end = after + mlp(norm(after))`.
 */
export interface LastBlock {
  /** Attention's heads joined, (N, L, width) or (L, N, width), or with its first two axes made one. */
  heads: string;
  /** MatMul or Gemm that takes them. */
  projection: Node;
  /** Transpose and Reshape nodes between the projection and the sum. */
  between: Node[];
  /** What attention is added to: (N, L, width) or (L, N, width). */
  residual: string;
  after: Node;
  end: Node;
  /** Whether the first axis is the batch's, and not the sequence's. */
  batchFirst: { heads: boolean; residual: boolean };
}

const PASSING = ['Cast', 'Identity', 'Dropout'];
const MOVING = ['Transpose', 'Reshape'];
/** What a sequence's position goes through by itself, on the way from the projection to the sum. */
const POSITIONAL = ['Add', 'Mul', ...PASSING];

/** @throws Unfit where the graph's last attention is not of that form */
export function findLastBlock(graph: GraphParts): LastBlock {
  const data = new DataFlow(graph);
  const softmax = data.nodes.findLast(({ opType }) => opType === 'Softmax');
  if (!softmax) throw new Unfit('it has no attention that is spelt out');
  // Some exports guard the probabilities on the way.
  const mixed = data.firstAfter(softmax, ({ opType }) => opType === 'MatMul');
  if (!mixed) throw new Unfit('its last Softmax is not of attention');

  const joined = data.follow(mixed, [...MOVING, ...PASSING]);
  const projection = joined.last;
  const [heads = '', weights = ''] = projection.inputs;
  if (!['MatMul', 'Gemm'].includes(projection.opType) || heads !== joined.tensor || data.varies(weights))
    throw new Unfit(`its last attention goes to ${projection.opType}, not to a projection`);

  const summed = data.follow(projection, [...MOVING, ...POSITIONAL], (node) => data.isSum(node));
  const after = summed.last;
  const residual = data.isSum(after) && after.inputs.find((input) => input !== summed.tensor);
  if (!residual) throw new Unfit(`its last attention goes to ${after.opType}, not to a sum`);

  const turns = joined.passed.filter(({ opType }) => opType === 'Transpose');
  const [turn] = turns;
  if (!turn || turns.length > 1) throw new Unfit('it cannot be told how its last attention joins its heads');
  const between = summed.passed.filter(({ opType }) => MOVING.includes(opType));
  const headsFirst = integersAttribute(turn.bytes, 'perm')[0] === 0;
  const turnedBack = between.filter(({ opType }) => opType === 'Transpose').length % 2 === 1;
  const batchFirst = { heads: headsFirst, residual: headsFirst !== turnedBack };
  const [sum = ''] = after.outputs;
  const end = data.firstAfter(
    after,
    ({ opType, inputs }, reached) =>
      opType === 'Add' && inputs.includes(sum) && inputs.some((input) => input !== sum && reached.has(input)),
  );
  if (!end) throw new Unfit('nothing is added to what its last attention is added to');
  return { heads, projection, between, residual, after, end, batchFirst };
}

interface Followed {
  passed: Node[];
  /** Where it ended, and by which of its inputs. */
  last: Node;
  tensor: string;
}

/** Who takes what is computed from a graph's inputs; shapes don't count. */
class DataFlow {
  /** Those that compute from the graph's inputs, in their order. */
  readonly nodes: Node[];
  readonly #varying: Set<string>;
  readonly #takers = new Map<string, Node[]>();

  constructor({ nodes, inputs, initializers }: GraphParts) {
    this.#varying = new Set(inputs.flatMap((input) => texts(input, VALUE.name)));
    // Before IR version 4 a graph lists its weights among its inputs.
    for (const weight of initializers) this.#varying.delete(texts(weight, TENSOR.name)[0] ?? '');
    this.nodes = nodes.map(readNode).filter((node) => {
      if (['Shape', 'Size'].includes(node.opType) || !node.inputs.some((input) => this.varies(input))) return false;
      for (const output of node.outputs) this.#varying.add(output);
      for (const input of new Set(node.inputs)) this.#takers.set(input, [...(this.#takers.get(input) ?? []), node]);
      return true;
    });
  }

  /** False for weights and whatever is made of them. */
  varies(tensor: string): boolean {
    return this.#varying.has(tensor);
  }

  isSum({ opType, inputs }: Node): boolean {
    return opType === 'Add' && inputs.every((input) => this.varies(input));
  }

  /** Goes on from a node's output to its only taker, through those of these types, up to one that `ends` it. */
  follow(from: Node, through: readonly string[], ends: (node: Node) => boolean = () => false): Followed {
    const passed: Node[] = [];
    for (let node = from; ;) {
      const [tensor = ''] = node.outputs;
      const takers = this.#takers.get(tensor) ?? [];
      const [taker] = takers;
      if (!taker || takers.length > 1) throw new Unfit(`${takers.length} nodes take ${tensor}, expected one`);
      if (!through.includes(taker.opType) || ends(taker)) return { passed, last: taker, tensor };
      if (passed.includes(taker)) throw new Unfit(`${tensor} goes round in a circle`);
      passed.push(taker);
      node = taker;
    }
  }

  /** The first node that computes from another's output, through whatever others, and is so. */
  firstAfter({ outputs }: Node, isSo: (node: Node, reached: ReadonlySet<string>) => boolean): Node | undefined {
    const reached = new Set(outputs);
    for (const node of this.nodes) {
      if (!node.inputs.some((input) => reached.has(input))) continue;
      if (isSo(node, reached)) return node;
      for (const output of node.outputs) reached.add(output);
    }
    return undefined;
  }
}

function readNode(bytes: Uint8Array): Node {
  const [opType = ''] = texts(bytes, NODE.opType);
  return { bytes, opType, inputs: texts(bytes, NODE.input), outputs: texts(bytes, NODE.output) };
}
