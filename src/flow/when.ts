import { isDeepStrictEqual } from 'node:util';
import type { JsonObject, JsonValue } from '../json.js';
import type { FlowPath } from './problem.js';
import { suggest } from './problem.js';

/**
 * Conditions on documents in DocArray 0.21's query language:
 *
 *     { tags__price: { $gt: 10 }, $or: [{ mime_type: { $regex: '^image/' } }, { text: { $exists: true } }] }
 *
 * Fields and operators side by side must all hold. `__` leads into tags, scores and lists (`tags__size__0`). An operand
 * `'{tags__other}'` stands for that field of the same document.
 */
export type WhenCondition = JsonObject;

/**
 * What a condition looks at: the top-level fields of a document by their published names (`text`, `mime_type`, `tags`),
 * each with its default where it is not set (`''`, 0, `{}`), as DocArray has it.
 */
export interface WhenDocument {
  field(name: string): unknown;
}

const PLACEHOLDER = /^\{\s*(\w+)\s*\}$/;
const LOGICAL = ['$and', '$or', '$not'];

type Operator = (value: unknown, operand: unknown) => boolean;

// A missing value and one of another type never compare; DocArray throws at the latter.
const ordered =
  (test: (order: number) => boolean): Operator =>
  (value, operand) =>
    ((typeof value === 'number' && typeof operand === 'number') ||
      (typeof value === 'string' && typeof operand === 'string')) &&
    test(value < operand ? -1 : value > operand ? 1 : value === operand ? 0 : NaN);

const differs: Operator = (value, operand) => !isDeepStrictEqual(value ?? null, operand ?? null);
const isIn: Operator = (value, operand) => Array.isArray(operand) && operand.some((one) => !differs(value, one));

const OPERATORS: ReadonlyMap<string, Operator> = new Map<string, Operator>([
  ['$eq', (value, operand) => !differs(value, operand)],
  ['$ne', differs],
  ['$neq', differs], // DocArray's own spelling
  ['$gt', ordered((order) => order > 0)],
  ['$gte', ordered((order) => order >= 0)],
  ['$lt', ordered((order) => order < 0)],
  ['$lte', ordered((order) => order <= 0)],
  ['$in', isIn],
  ['$nin', (value, operand) => !isIn(value, operand)],
  ['$regex', (value, operand) => typeof value === 'string' && new RegExp(String(operand)).test(value)],
  ['$size', (value, operand) => sizeOf(value) === operand],
  ['$exists', (value, operand) => (value !== undefined && value !== null) === operand],
]);

/** True when the document meets the condition; an empty condition is always met. */
export function evaluateWhen(condition: WhenCondition, doc: WhenDocument): boolean {
  return Object.entries(condition).every(([key, value]) => holds(key, value, doc));
}

function holds(key: string, value: JsonValue, doc: WhenDocument): boolean {
  switch (key) {
    case '$and':
      return branches(value).every((branch) => evaluateWhen(branch, doc));
    case '$or':
      return branches(value).some((branch) => evaluateWhen(branch, doc));
    case '$not':
      return !branches(value).every((branch) => evaluateWhen(branch, doc));
    default:
      return Object.entries(asObject(value)).every(([operator, operand]) => {
        const field = lookUp(doc, key);
        // DocArray: a top-level field that holds its default ('', 0, {}, []) does not exist.
        const seen = operator === '$exists' && !key.includes('__') && isDefault(field) ? undefined : field;
        const other = typeof operand === 'string' ? PLACEHOLDER.exec(operand)?.[1] : undefined;
        return OPERATORS.get(operator)?.(seen, other === undefined ? operand : lookUp(doc, other)) ?? false;
      });
  }
}

/** `$or: [{a}, {b}]` and `$or: {a, b}` mean the same. */
function branches(value: JsonValue): WhenCondition[] {
  if (Array.isArray(value)) return value.map(asObject);
  return Object.entries(asObject(value)).map(([key, inner]) => ({ [key]: inner }));
}

function lookUp(doc: WhenDocument, path: string): unknown {
  const [name = '', ...rest] = path.split('__');
  return rest.reduce<unknown>((value, part) => {
    if (Array.isArray(value)) return value.at(Number(part));
    return isObject(value) && Object.hasOwn(value, part) ? value[part] : undefined;
  }, doc.field(name));
}

function sizeOf(value: unknown): number | undefined {
  if (typeof value === 'string') return Array.from(value).length; // code points, as Python counts
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length;
  return isObject(value) ? Object.keys(value).length : undefined;
}

function isDefault(value: unknown): boolean {
  return value === 0 || sizeOf(value) === 0;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asObject(value: JsonValue): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

/** What is wrong with a condition, each with its path inside it; `evaluateWhen` relies on there being nothing. */
export function whenProblems(condition: unknown, path: FlowPath = []): { path: FlowPath; message: string }[] {
  if (!isObject(condition)) return [{ path, message: 'expected a condition like {tags__price: {$gt: 10}}' }];
  return Object.entries(condition).flatMap(([key, value]) => {
    const here = [...path, key];
    if (LOGICAL.includes(key)) {
      if (Array.isArray(value)) return value.flatMap((branch, index) => whenProblems(branch, [...here, index]));
      return whenProblems(value, here);
    }
    if (key.startsWith('$')) return [{ path: here, message: `expected the name of a field or ${LOGICAL.join(', ')}` }];
    if (!isObject(value) || Object.keys(value).length === 0) {
      return [{ path: here, message: 'expected an operator and its operand, like {$eq: 1}' }];
    }
    return Object.entries(value).flatMap(([operator, operand]) => {
      const message = operandProblem(operator, operand);
      return message === undefined ? [] : [{ path: [...here, operator], message }];
    });
  });
}

function operandProblem(operator: string, operand: unknown): string | undefined {
  if (!OPERATORS.has(operator)) {
    return `unknown operator; known are ${[...OPERATORS.keys()].join(', ')}${suggest(operator, OPERATORS.keys())}`;
  }
  if (typeof operand === 'string' && operand.startsWith('{')) {
    return PLACEHOLDER.test(operand) ? undefined : "expected the name of one field in braces, like '{tags__other}'";
  }
  if (operator === '$exists' && typeof operand !== 'boolean') return 'expected true or false';
  if (operator === '$size' && typeof operand !== 'number') return 'expected a number';
  if ((operator === '$in' || operator === '$nin') && !Array.isArray(operand)) return 'expected a list';
  if (operator === '$regex') {
    if (typeof operand !== 'string') return 'expected a regular expression';
    try {
      new RegExp(operand);
    } catch (error) {
      return `not a regular expression of JavaScript: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  return undefined;
}
