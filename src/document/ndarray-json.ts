import { ClipflowError } from '../errors.js';
import type { JsonValue } from '../json.js';
import { NdArray } from './ndarray.js';
import { ValidationError, type Location } from './validation-error.js';

/** numpy's own limit. */
const MAX_DIMENSIONS = 32;

/** Empty lists that an array without elements may unfold to: its shape alone could ask for billions. */
const MAX_EMPTY_LISTS = 4096;

/**
 * Nested lists as numpy's `tolist` makes them: integers, doubles, booleans; one number when the shape is empty.
 * Integers beyond 2^53 are rounded.
 *
 * @throws ClipflowError INVALID_DOCUMENT for a dtype that is not numeric and a buffer that does not fit the shape.
 */
export function ndArrayToJson(array: NdArray): JsonValue {
  const values = array.elements();
  const { shape } = array;
  const lists = shape.slice(0, Math.max(0, shape.indexOf(0))).reduce((product, dimension) => product * dimension, 1);
  if (shape.length > MAX_DIMENSIONS || lists > MAX_EMPTY_LISTS) {
    throw new ClipflowError('INVALID_DOCUMENT', `an array of shape [${shape.slice(0, 40).join(', ')}] has no JSON`);
  }
  const boolean = array.dtype.endsWith('b1');
  const last = shape.length - 1;
  let at = 0;
  const unfold = (axis: number): JsonValue => {
    const list = new Array<JsonValue>(shape[axis] ?? 0);
    if (axis < last) for (let i = 0; i < list.length; i++) list[i] = unfold(axis + 1);
    else if (boolean) for (let i = 0; i < list.length; i++) list[i] = values[at++] === 1;
    else for (let i = 0; i < list.length; i++) list[i] = Number(values[at++]);
    return list;
  };
  if (last >= 0) return unfold(0);
  return boolean ? values[0] === 1 : Number(values[0]);
}

/**
 * An array from nested lists, with the dtype that docarray's `from_dict` gives it (numpy's for Python's numbers):
 * '<f8', '<i8' if all are integers, '|b1' if all are booleans. Integers that all fit a byte become '|u1' instead, which
 * no one can tell in JSON: an image is an eighth of the size. JSON has no 1.0: whole numbers are integers.
 *
 * @throws ValidationError for what is no list, holds something else than numbers, or is ragged.
 */
export function ndArrayFromJson(value: unknown, location: Location): NdArray {
  if (!Array.isArray(value)) throw ValidationError.at(location, 'value is not a valid list', 'type_error.list');
  const shape: number[] = [];
  for (let level: unknown = value; Array.isArray(level); level = level[0]) {
    shape.push(level.length);
    if (shape.length > MAX_DIMENSIONS) {
      throw ValidationError.at(location, `an array has at most ${MAX_DIMENSIONS} dimensions`);
    }
  }
  const numbers: number[] = [];
  let booleans = 0;
  // Indices on the way down, for the location of an error.
  const path: number[] = [];
  const fail = (depth: number, msg: string, type?: string): never => {
    throw ValidationError.at([...location, ...path.slice(0, depth)], msg, type);
  };
  const flatten = (list: unknown[], axis: number): void => {
    if (list.length !== shape[axis]) fail(axis, `ragged array: expected ${shape[axis]} values, got ${list.length}`);
    for (let i = 0; i < list.length; i++) {
      const item: unknown = list[i];
      path[axis] = i;
      if (axis + 1 < shape.length) {
        if (Array.isArray(item)) flatten(item, axis + 1);
        else fail(axis + 1, 'ragged array: value is not a valid list', 'type_error.list');
      } else if (typeof item === 'number' || typeof item === 'boolean') {
        if (typeof item === 'boolean') booleans++;
        numbers.push(Number(item));
      } else fail(axis + 1, 'value is not a valid float', 'type_error.float');
    }
  };
  flatten(value, 0);
  return pack(numbers, shape, booleans === numbers.length);
}

function pack(numbers: number[], shape: number[], boolean: boolean): NdArray {
  if (numbers.length === 0) return new NdArray(new Uint8Array(0), shape, '<f8');
  if (boolean) return new NdArray(Uint8Array.from(numbers), shape, '|b1');
  if (numbers.every((number) => (number & 0xff) === number)) return new NdArray(Uint8Array.from(numbers), shape, '|u1');
  const integers = numbers.every((number) => Number.isSafeInteger(number));
  const values = integers ? BigInt64Array.from(numbers, BigInt) : Float64Array.from(numbers);
  return new NdArray(new Uint8Array(values.buffer), shape, integers ? '<i8' : '<f8');
}
