import { Additions } from './additions.js';
import { requireOpset, type Rewriting } from './graph-parts.js';
import { findLastBlock, type LastBlock } from './last-block.js';
import { encodeNode, NODE, renamed } from './onnx.js';

/** From this opset on GatherND takes a batch. */
const OLDEST_OPSET = 12;

/** Where in its sequence a tower's vector is taken from: at the first token, or at the first with the highest id. */
export type Pooled = { at: 'first' } | { at: 'highest'; ids: string };

/**
 * Has the last block of a transformer compute only the position that the vector is taken from: what the others get there,
 * from attention's projection on, reaches nobody. That is 9 of 12 parts of what a block multiplies with weights: one of
 * the projection and eight of an MLP four times as wide. The result then stands at all positions, so that whatever picks
 * one finds it.
 *
 * Which position is picked is the caller's guess, who must compare the vectors with those of the graph as it was.
 */
export function pruneLastBlock(pooled: Pooled): Rewriting {
  return (graph) => {
    requireOpset(graph, OLDEST_OPSET);
    const { edits, initializers } = narrow(findLastBlock(graph), pooled);
    return {
      ...graph,
      nodes: graph.nodes.flatMap((node) => edits.get(node) ?? [node]),
      initializers: [...initializers, ...graph.initializers],
    };
  };
}

interface Narrowed {
  /** What takes the place of a node. */
  edits: ReadonlyMap<Uint8Array, readonly Uint8Array[]>;
  initializers: readonly Uint8Array[];
}

/** From the picked rows to the result all tensors are (N, 1, width). */
function narrow(block: LastBlock, pooled: Pooled): Narrowed {
  const { heads, projection, between, residual, after, end, batchFirst } = block;
  const edits = new Map<Uint8Array, readonly Uint8Array[]>();
  const added = new Additions('last-block');
  const shape = added.node('shape', 'Shape', [residual]);
  const width = added.node('width', 'Gather', [shape, added.constant([2n])]);
  const row = added.node('row', 'Concat', [added.constant([-1n, 1n]), width], { axis: 0 });
  const exchange = (label: string, tensor: string) => added.node(label, 'Transpose', [tensor], { perm: [1, 0, 2] });

  const pick = (label: string, tensor: string, isBatchFirst: boolean): string => {
    const rows = isBatchFirst ? tensor : exchange(`${label}/exchanged`, tensor);
    if (pooled.at === 'first') return added.node(label, 'Gather', [rows, added.constant([0n])], { axis: 1 });
    const highest = added.node('highest', 'ArgMax', [pooled.ids], { axis: 1, keepdims: 1 });
    const index = added.node('index', 'Reshape', [highest, added.constant([-1n, 1n, 1n])]);
    return added.node(label, 'GatherND', [rows, index], { batch_dims: 1 });
  };
  const alike = batchFirst.heads === batchFirst.residual;
  const shapeOfHeads = alike ? shape : added.node('shape/exchanged', 'Gather', [shape, added.constant([1n, 0n, 2n])]);
  const unfolded = added.node('heads/unfolded', 'Reshape', [heads, shapeOfHeads]);
  const pickedHeads = pick('heads', unfolded, batchFirst.heads);
  const pickedResidual = pick('residual', residual, batchFirst.residual);

  // A Gemm takes matrices.
  const matrix = () => added.node('matrix', 'Concat', [added.constant([-1n]), width], { axis: 0 });
  const projected =
    projection.opType === 'Gemm' ? added.node('heads/matrix', 'Reshape', [pickedHeads, matrix()]) : pickedHeads;
  edits.set(projection.bytes, [...added.nodes, withInput(projection.bytes, heads, projected)]);
  for (const { bytes, inputs, outputs } of between)
    edits.set(bytes, [encodeNode('Reshape', [inputs[0] ?? '', row], outputs[0] ?? '')]);
  edits.set(after.bytes, [withInput(after.bytes, residual, pickedResidual)]);

  const spread = new Additions('last-block/spread');
  const result = spread.name('result');
  const turned = batchFirst.residual ? result : spread.node('exchanged', 'Transpose', [result], { perm: [1, 0, 2] });
  edits.set(end.bytes, [
    renamed(end.bytes, NODE.output, () => result),
    ...spread.nodes,
    encodeNode('Expand', [turned, shape], end.outputs[0] ?? ''),
  ]);
  return { edits, initializers: added.initializers };
}

function withInput(node: Uint8Array, old: string, input: string): Uint8Array {
  return renamed(node, NODE.input, (name) => (name === old ? input : name));
}
