import { encodeIntegers, encodeNode, GRAPH, readTensor } from './onnx.js';
import { nested } from './protobuf.js';

/** Begins the names of what is added to a graph. */
const PREFIX = 'clipflow/';

/** The input of token ids (batch, length), and the length that the graph fixes. */
export interface FixedLength {
  name: string;
  length: number;
}

/** What a constant becomes that depends on the length. */
interface Followed {
  /** The name under which the constant itself stays; undefined: it goes. */
  source: string | undefined;
  /** NodeProtos that compute what has its name now. */
  nodes: Uint8Array[];
}

/** Makes the nodes that compute, from the length of a graph's input, what was constant. */
export class LengthNodes {
  /** NodeProtos that depend on the input alone, in their order. */
  readonly nodes: Uint8Array[] = [];
  /** What they need, as fields of the graph. */
  readonly initializers: Uint8Array[] = [];
  readonly #fixed: bigint;
  /** Of constants and shapes that many nodes share: they tell what they hold. */
  readonly #names = new Set<string>();
  readonly #scalar = `${PREFIX}length`;
  readonly #vector = `${PREFIX}lengths`;

  constructor({ name, length }: FixedLength) {
    this.#fixed = BigInt(length);
    const shape = `${PREFIX}shape`;
    this.nodes.push(
      encodeNode('Shape', [name], shape),
      encodeNode('Gather', [shape, this.#constant(1n)], this.#scalar),
      encodeNode('Gather', [shape, this.#constant([1n])], this.#vector),
    );
  }

  /** How a constant follows the length; undefined when it has nothing to do with it. */
  follow(name: string, tensor: Uint8Array): Followed | undefined {
    const { dims, integers } = readTensor(tensor);
    const axes = dims.flatMap((size, axis) => (BigInt(size) === this.#fixed ? [axis] : []));
    if (axes.length > 0) return this.#cut(name, axes);
    if (!integers.includes(this.#fixed)) return undefined;
    const value = dims.length === 0 ? this.#scalar : this.#shape(integers);
    return { source: undefined, nodes: [encodeNode('Identity', [value], name)] };
  }

  /** Cuts each axis to the length. */
  #cut(name: string, axes: readonly number[]): Followed {
    const source = `${PREFIX}whole/${name}`;
    let from = source;
    const nodes = axes.map((axis, index) => {
      const to = index === axes.length - 1 ? name : `${PREFIX}cut${axis}/${name}`;
      const node = encodeNode('Slice', [from, this.#constant([0n]), this.#vector, this.#constant([BigInt(axis)])], to);
      from = to;
      return node;
    });
    return { source, nodes };
  }

  /** A vector in which the length stands for the fixed one. */
  #shape(values: readonly bigint[]): string {
    if (values.length === 1) return this.#vector;
    return this.#named(`${PREFIX}shape/${values.join()}`, (name) => {
      const parts = values.map((value) => (value === this.#fixed ? this.#vector : this.#constant([value])));
      this.nodes.push(encodeNode('Concat', parts, name, { axis: 0 }));
    });
  }

  #constant(value: bigint | readonly bigint[]): string {
    const label = typeof value === 'bigint' ? `scalar/${value}` : `vector/${value.join()}`;
    return this.#named(`${PREFIX}${label}`, (name) => {
      this.initializers.push(...nested(GRAPH.initializer, [encodeIntegers(name, value)]));
    });
  }

  #named(name: string, make: (name: string) => void): string {
    if (!this.#names.has(name)) {
      this.#names.add(name);
      make(name);
    }
    return name;
  }
}
