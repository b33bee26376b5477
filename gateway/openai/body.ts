import type { z } from 'zod';
import { ParameterError } from './errors.js';

/** @throws ParameterError that names the first parameter that is wrong */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ParameterError(pathText(issue?.path ?? []) || 'body', issue?.message ?? 'is malformed');
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '');
}
