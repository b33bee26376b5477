import { z } from 'zod';
import { ClipflowError } from '../errors.js';

/** Where in a JSON body a value stands: ['body', 'data', 0, 'text']. */
export type Location = readonly (string | number)[];

/** One fault, in the shape that FastAPI answers with status 422 (pydantic 1's messages and types). */
export interface ValidationDetail {
  loc: (string | number)[];
  msg: string;
  type: string;
}

/** INVALID_REQUEST of a JSON body, with each fault and its place. */
export class ValidationError extends ClipflowError {
  constructor(readonly details: ValidationDetail[]) {
    super('INVALID_REQUEST', details.map(({ loc, msg }) => `${formatLocation(loc)}: ${msg}`).join('; '));
    this.name = 'ValidationError';
  }

  static at(location: Location, msg: string, type = 'value_error'): ValidationError {
    return new ValidationError([{ loc: [...location], msg, type }]);
  }
}

/** `value` as `schema` takes it. @throws ValidationError with the faults below `location`. */
export function validate<T>(schema: z.ZodType<T>, value: unknown, location: Location): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ValidationError(
    result.error.issues.map((issue) => ({ loc: [...location, ...issue.path.map(pathKey)], ...describe(issue) })),
  );
}

const NOT_AN_INTEGER = 'value is not a valid integer';

/** zod reports a string given for an integer as "expected number": its message tells them apart. */
export const integer = z.int({ error: ({ code }) => (code === 'invalid_type' ? NOT_AN_INTEGER : undefined) });

const TYPE_ERRORS: Readonly<Record<string, { msg: string; type: string }>> = {
  string: { msg: 'str type expected', type: 'type_error.str' },
  number: { msg: 'value is not a valid float', type: 'type_error.float' },
  array: { msg: 'value is not a valid list', type: 'type_error.list' },
  object: { msg: 'value is not a valid dict', type: 'type_error.dict' },
  record: { msg: 'value is not a valid dict', type: 'type_error.dict' },
};

function describe(issue: z.core.$ZodIssue): { msg: string; type: string } {
  if (issue.message === NOT_AN_INTEGER) return { msg: NOT_AN_INTEGER, type: 'type_error.integer' };
  if (issue.code === 'invalid_type') {
    return TYPE_ERRORS[issue.expected] ?? { msg: issue.message, type: 'type_error' };
  }
  if (issue.code === 'too_small') {
    return { msg: `ensure this value is greater than or equal to ${issue.minimum}`, type: 'value_error.number.not_ge' };
  }
  if (issue.code === 'too_big') {
    return { msg: `ensure this value is less than or equal to ${issue.maximum}`, type: 'value_error.number.not_le' };
  }
  return { msg: issue.message, type: 'value_error' };
}

function pathKey(key: PropertyKey): string | number {
  return typeof key === 'number' ? key : String(key);
}

/** body.data[0].text */
function formatLocation(location: Location): string {
  return location.map((key, i) => (typeof key === 'number' ? `[${key}]` : i === 0 ? key : `.${key}`)).join('');
}
