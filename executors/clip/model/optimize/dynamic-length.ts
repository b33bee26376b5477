import { requireOpset, type Rewriting } from './graph-parts.js';
import { LengthNodes, type FixedLength } from './length-nodes.js';
import { constantTensor, DIMENSION, DIMENSIONS, encodeDimension, NODE, renamed, TENSOR } from './onnx.js';
import { integers, join, mapContents, texts } from './protobuf.js';

/** From this opset on Slice takes its bounds as inputs. */
const OLDEST_OPSET = 10;

/**
 * Has an ONNX text graph of fixed length take texts of each length up to that. Whatever is as long as the fixed length
 * then follows the input's: constants with such a side (positional embedding, mask, positions) are cut to it, and in
 * vectors and scalars of int64 (shapes, ends of slices, depths) it takes the place of the number.
 *
 * That takes a number's meaning from its value, so the caller must compare the vectors with those of the graph as it was.
 */
export function dynamicLength(input: FixedLength): Rewriting {
  return (graph) => {
    requireOpset(graph, OLDEST_OPSET);
    const length = new LengthNodes(input);
    const computed: Uint8Array[] = [];
    const initializers = graph.initializers.flatMap((tensor) => {
      const followed = length.follow(texts(tensor, TENSOR.name)[0] ?? '', tensor);
      if (followed === undefined) return [tensor];
      computed.push(...followed.nodes);
      const { source } = followed;
      return source === undefined ? [] : [renamed(tensor, TENSOR.name, () => source)];
    });
    const nodes = graph.nodes.flatMap((node) => rewriteNode(node, length));
    const freed = (value: Uint8Array) => join(mapContents(value, DIMENSIONS, (size) => [free(size, input.length)]));
    return {
      ...graph,
      nodes: [...length.added.nodes, ...computed, ...nodes],
      initializers: [...length.added.initializers, ...initializers],
      inputs: graph.inputs.map(freed),
      outputs: graph.outputs.map(freed),
    };
  };
}

/** A Constant node becomes what follows the length, if it should; others stay. */
function rewriteNode(node: Uint8Array, length: LengthNodes): Uint8Array[] {
  const tensor = constantTensor(node);
  const followed = tensor && length.follow(texts(node, NODE.output)[0] ?? '', tensor);
  if (followed === undefined) return [node];
  const { source, nodes } = followed;
  return source === undefined ? nodes : [renamed(node, NODE.output, () => source), ...nodes];
}

function free(dimension: Uint8Array, length: number): Uint8Array {
  return integers(dimension, DIMENSION.value)[0] === BigInt(length) ? encodeDimension('length') : dimension;
}
