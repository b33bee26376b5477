import { encodeIntegers, encodeNode, type Attributes } from './onnx.js';

/** Begins the names of what is added to a graph. */
const PREFIX = 'clipflow/';

/** Nodes and constants to add to a graph; each has a name that tells what it is. */
export class Additions {
  /** NodeProtos in the order in which they were added. */
  readonly nodes: Uint8Array[] = [];
  /** TensorProtos. */
  readonly initializers: Uint8Array[] = [];
  readonly #prefix: string;
  readonly #names = new Set<string>();

  /** @param of tells these from other additions to the same graph */
  constructor(of: string) {
    this.#prefix = `${PREFIX}${of}/`;
  }

  /** Adds a node, unless there is one of that name; returns the name of its output. */
  node(label: string, opType: string, inputs: readonly string[], attributes?: Attributes): string {
    return this.#once(label, (name) => this.nodes.push(encodeNode(opType, inputs, name, attributes)));
  }

  /** A scalar or vector of int64. */
  constant(value: bigint | readonly bigint[]): string {
    const label = typeof value === 'bigint' ? `scalar/${value}` : `vector/${value.join()}`;
    return this.#once(label, (name) => this.initializers.push(encodeIntegers(name, value)));
  }

  /** The name of a tensor that comes otherwise. */
  name(label: string): string {
    return `${this.#prefix}${label}`;
  }

  #once(label: string, make: (name: string) => void): string {
    const name = this.name(label);
    if (!this.#names.has(name)) {
      this.#names.add(name);
      make(name);
    }
    return name;
  }
}
