import { Additions } from './additions.js';
import { encodeNode, readTensor } from './onnx.js';

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
  /** What depends on the input alone. */
  readonly added = new Additions('length');
  readonly #fixed: bigint;
  readonly #scalar: string;
  readonly #vector: string;

  constructor({ name, length }: FixedLength) {
    this.#fixed = BigInt(length);
    const shape = this.added.node('input', 'Shape', [name]);
    this.#scalar = this.added.node('scalar', 'Gather', [shape, this.added.constant(1n)]);
    this.#vector = this.added.node('vector', 'Gather', [shape, this.added.constant([1n])]);
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
    const source = this.added.name(`whole/${name}`);
    let from = source;
    const nodes = axes.map((axis, index) => {
      const to = index === axes.length - 1 ? name : this.added.name(`cut${axis}/${name}`);
      const bounds = [this.added.constant([0n]), this.#vector, this.added.constant([BigInt(axis)])];
      const node = encodeNode('Slice', [from, ...bounds], to);
      from = to;
      return node;
    });
    return { source, nodes };
  }

  /** A vector in which the length stands for the fixed one. */
  #shape(values: readonly bigint[]): string {
    if (values.length === 1) return this.#vector;
    const parts = values.map((value) => (value === this.#fixed ? this.#vector : this.added.constant([value])));
    return this.added.node(`shape/${values.join()}`, 'Concat', parts, { axis: 0 });
  }
}
