import { LengthNodes, type FixedLength } from './length-nodes.js';
import {
  constantTensor,
  DIMENSION,
  DIMENSIONS,
  encodeDimension,
  GRAPH,
  MODEL,
  NODE,
  opsetVersion,
  TENSOR,
} from './onnx.js';
import { fields, integers, join, mapContents, nested, texts } from './protobuf.js';

/** From this opset on Slice takes its bounds as inputs. */
const OLDEST_OPSET = 10;

export type Rewritten = { model: Uint8Array<ArrayBuffer> } | { reason: string };

/**
 * Rewrites an ONNX text graph of fixed length so that it takes texts of each length up to that. Whatever is as long as
 * the fixed length then follows the input's: constants with such a side (positional embedding, mask, positions) are cut
 * to it, and in vectors and scalars of int64 (shapes, ends of slices, depths) it takes the place of the number.
 *
 * That takes a number's meaning from its value, so the caller must compare the vectors with those of the graph as it
 * was. Weights are copied once; those in files beside the model stay there.
 *
 * @returns the model, or why there is none; never throws, whatever the bytes are
 */
export function withDynamicLength(model: Uint8Array, input: FixedLength): Rewritten {
  try {
    const opset = opsetVersion(model);
    if (opset < OLDEST_OPSET) return { reason: `the graph is of opset ${opset}; expected ${OLDEST_OPSET} or later` };
    return { model: join(mapContents(model, [MODEL.graph], (graph) => rewriteGraph(graph, input))) };
  } catch (error) {
    return { reason: `the graph cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function rewriteGraph(graph: Uint8Array, input: FixedLength): Uint8Array[] {
  const length = new LengthNodes(input);
  const computed: Uint8Array[] = [];
  const nodes: Uint8Array[] = [];
  const others: Uint8Array[] = [];
  for (const { number, raw, content } of fields(graph)) {
    switch (number) {
      case GRAPH.node:
        nodes.push(...rewriteNode(content, length));
        break;
      case GRAPH.initializer: {
        const followed = length.follow(texts(content, TENSOR.name)[0] ?? '', content);
        if (followed === undefined) others.push(raw);
        else computed.push(...followed.nodes);
        if (followed?.source !== undefined)
          others.push(...nested(number, renamed(content, TENSOR.name, followed.source)));
        break;
      }
      case GRAPH.input:
      case GRAPH.output:
        others.push(
          ...nested(
            number,
            mapContents(content, DIMENSIONS, (size) => [freed(size, input.length)]),
          ),
        );
        break;
      case GRAPH.valueInfo: // shapes of what lies between: ONNX Runtime infers them anew
        break;
      default:
        others.push(raw);
    }
  }
  // Nodes stand in the order in which they compute.
  const ordered = [...length.nodes, ...computed, ...nodes].flatMap((node) => nested(GRAPH.node, [node]));
  return [...ordered, ...length.initializers, ...others];
}

/** A Constant node becomes what follows the length, if it should; others stay. */
function rewriteNode(node: Uint8Array, length: LengthNodes): Uint8Array[] {
  const tensor = constantTensor(node);
  const followed = tensor && length.follow(texts(node, NODE.output)[0] ?? '', tensor);
  if (followed === undefined) return [node];
  if (followed.source === undefined) return followed.nodes;
  return [join(renamed(node, NODE.output, followed.source)), ...followed.nodes];
}

function renamed(message: Uint8Array, field: number, name: string): readonly Uint8Array[] {
  return mapContents(message, [field], () => [Buffer.from(name)]);
}

function freed(dimension: Uint8Array, length: number): Uint8Array {
  return integers(dimension, DIMENSION.value)[0] === BigInt(length) ? encodeDimension('length') : dimension;
}
