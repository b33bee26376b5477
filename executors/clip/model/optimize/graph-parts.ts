import { contents, fields, integers, join, nested, texts } from './protobuf.js';
import { GRAPH, MODEL, OPSET } from './onnx.js';

/** A graph taken apart, so that several rewritings copy its weights once: views of the model's bytes. */
export interface GraphParts {
  /** Version of the standard operators. */
  readonly opset: number;
  /** NodeProtos in the order in which they compute. */
  readonly nodes: readonly Uint8Array[];
  /** TensorProtos. */
  readonly initializers: readonly Uint8Array[];
  /** ValueInfoProtos. */
  readonly inputs: readonly Uint8Array[];
  readonly outputs: readonly Uint8Array[];
  /** Fields that nothing here touches. */
  readonly others: readonly Uint8Array[];
}

/** @throws Unfit where the graph cannot be rewritten so */
export type Rewriting = (graph: GraphParts) => GraphParts;

/** Why a graph stays as it is. */
export class Unfit extends Error {}

export type Rewritten = { model: Uint8Array<ArrayBuffer> } | { reason: string };

/**
 * Rewrites the graph of an ONNX model. Weights are copied once; those in files beside the model stay there.
 * @returns the model, or why there is none; never throws, whatever the bytes are
 */
export function rewriteModel(model: Uint8Array, rewritings: readonly Rewriting[]): Rewritten {
  try {
    const [graph = new Uint8Array()] = contents(model, MODEL.graph);
    const parts = takeApart(graph, opsetVersion(model));
    const rewritten = rewritings.reduce((rest, rewrite) => rewrite(rest), parts);
    const others = [...fields(model)].filter(({ number }) => number !== MODEL.graph).map(({ raw }) => raw);
    return { model: join([...others, ...nested(MODEL.graph, assemble(rewritten))]) };
  } catch (error) {
    if (error instanceof Unfit) return { reason: error.message };
    return { reason: `the graph cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** @throws Unfit for operators that are older */
export function requireOpset({ opset }: GraphParts, oldest: number): void {
  if (opset < oldest) throw new Unfit(`the graph is of opset ${opset}; expected ${oldest} or later`);
}

function opsetVersion(model: Uint8Array): number {
  const standard = contents(model, MODEL.opsetImport).find((opset) =>
    ['', 'ai.onnx'].includes(texts(opset, OPSET.domain)[0] ?? ''),
  );
  return standard ? Number(integers(standard, OPSET.version)[0] ?? 0) : 0;
}

function takeApart(graph: Uint8Array, opset: number): GraphParts {
  const all = [...fields(graph)];
  const of = (wanted: number) => all.filter(({ number }) => number === wanted).map(({ content }) => content);
  // Shapes of what lies between (valueInfo) go: they may change, and ONNX Runtime infers them anew.
  const known: number[] = Object.values(GRAPH);
  return {
    opset,
    nodes: of(GRAPH.node),
    initializers: of(GRAPH.initializer),
    inputs: of(GRAPH.input),
    outputs: of(GRAPH.output),
    others: all.filter(({ number }) => !known.includes(number)).map(({ raw }) => raw),
  };
}

function assemble({ nodes, initializers, inputs, outputs, others }: GraphParts): Uint8Array[] {
  const field = (number: number, parts: readonly Uint8Array[]) => parts.flatMap((part) => nested(number, [part]));
  return [
    ...field(GRAPH.node, nodes),
    ...field(GRAPH.initializer, initializers),
    ...field(GRAPH.input, inputs),
    ...field(GRAPH.output, outputs),
    ...others,
  ];
}
