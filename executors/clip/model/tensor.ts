import { takeFirst } from '../../../src/list.js';

/** Element types that the graphs of CLIP models use. float16 travels as its bits. */
export interface TensorArrays {
  float32: Float32Array<ArrayBuffer>;
  float16: Uint16Array<ArrayBuffer>;
  int32: Int32Array<ArrayBuffer>;
  int64: BigInt64Array<ArrayBuffer>;
}

export type TensorType = keyof TensorArrays;

const ARRAYS = {
  float32: Float32Array<ArrayBuffer>,
  float16: Uint16Array<ArrayBuffer>,
  int32: Int32Array<ArrayBuffer>,
  int64: BigInt64Array<ArrayBuffer>,
};

/** A tensor in row-major order. Its ArrayBuffer moves between threads, so it must hold nothing else that is needed. */
export interface TensorData<T extends TensorType = TensorType> {
  type: T;
  dims: number[];
  data: TensorArrays[T];
}

/** Tensors by the name of the graph's input. */
export type Feeds = Record<string, TensorData>;

/** What moves to the session with the feeds. */
export function buffersOf(feeds: Feeds): ArrayBuffer[] {
  return Object.values(feeds).map(({ data }) => data.buffer);
}

/** A view of `type` over the start of `buffer`. */
export function viewOf<T extends TensorType>(type: T, buffer: ArrayBuffer, length: number): TensorArrays[T] {
  return new ARRAYS[type](buffer, 0, length) as TensorArrays[T];
}

/** Free buffers that are kept: two batches (one running, one prefetched) of two tensors each. */
const KEPT_BUFFERS = 4;

/** ArrayBuffers that came back from the worker, to be filled again instead of allocating megabytes for each batch. */
export class BufferPool {
  readonly #free: ArrayBuffer[] = [];

  /** An array of `length` elements; what it holds is left over from earlier use. */
  allocate<T extends TensorType>(type: T, length: number): TensorArrays[T] {
    const bytes = length * ARRAYS[type].BYTES_PER_ELEMENT;
    // Sorted by size, so the first that fits is the smallest that fits.
    const buffer = takeFirst(this.#free, ({ byteLength }) => byteLength >= bytes);
    return viewOf(type, buffer ?? new ArrayBuffer(bytes), length);
  }

  free({ buffer }: TensorArrays[TensorType]): void {
    this.release([buffer]);
  }

  /** Takes buffers back; past the limit the smallest go, as the largest fit every batch. */
  release(buffers: readonly ArrayBuffer[]): void {
    this.#free.push(...buffers);
    this.#free.sort((a, b) => a.byteLength - b.byteLength);
    this.#free.splice(0, this.#free.length - KEPT_BUFFERS);
  }
}
