import type { z } from 'zod';
import { UNSUPPORTED } from './jina-keys.js';
import { describe, suggest } from './problem.js';
import type { FlowPath, Problem } from './problem.js';
import { KNOWN_KEYS } from './schema.js';

type Issue = z.core.$ZodIssue;

const TYPES: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
};

/** Says for each issue of zod where it is, what was expected and what `root` holds there. */
export function explain(issues: readonly Issue[], root: unknown, prefix: FlowPath = []): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    const path = [...prefix, ...issue.path];
    const found = valueAt(root, path);
    const problem = (text: string): Problem[] => [{ path, at: 'value', message: text }];
    const expected = (what: string): Problem[] =>
      problem(
        found === undefined || found === null
          ? `missing; expected ${what}`
          : `expected ${what}, found ${describe(found)}`,
      );
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map((key) => ({ path: [...path, key], at: 'key', message: unknownKey(key, path) }));
      case 'invalid_union':
        return explainUnion(issue, root, path) ?? expected(withoutLead(issue.message));
      case 'invalid_value': {
        const words = issue.values.map(String);
        return problem(`expected ${oneOf(words)}, found ${describe(found)}${suggest(String(found), words)}`);
      }
      case 'invalid_type':
        if (issue.expected === 'string' && (typeof found === 'number' || typeof found === 'boolean')) {
          return problem(`expected text, found ${describe(found)}; put it in quotes`);
        }
        return expected(TYPES[issue.expected] ?? issue.expected);
      case 'too_small':
        if (issue.origin === 'string') return problem('expected text, found nothing');
        if (issue.origin === 'array') return expected('a list of at least one');
        return expected(`a number ${issue.inclusive ? 'of at least' : 'greater than'} ${issue.minimum}`);
      case 'too_big':
        return expected(`a number of at most ${issue.maximum}`);
      case 'invalid_format':
        return expected(withoutLead(issue.message));
      case 'custom':
        return problem(issue.message);
      case 'invalid_key':
      case 'invalid_element':
      case 'not_multiple_of':
        return problem(`${issue.message}, found ${describe(found)}`);
    }
  });
}

/** The branch that the value was meant for: the one whose type it has, but not its content. */
function explainUnion(issue: Issue & { code: 'invalid_union' }, root: unknown, path: FlowPath): Problem[] | undefined {
  const meant = issue.errors.find(
    (branch) => !branch.some((inner) => inner.path.length === 0 && inner.code === 'invalid_type'),
  );
  return meant && explain(meant, root, path);
}

function unknownKey(key: string, parent: FlowPath): string {
  const reason = UNSUPPORTED.get(key);
  if (reason !== undefined) return `not supported; ${reason}`;
  const block = parent.findLast((part) => typeof part === 'string') ?? '';
  return `unknown key${suggest(key, KNOWN_KEYS[block] ?? [])}`;
}

function oneOf(words: readonly string[]): string {
  return words.length === 1 ? words.join() : `one of ${words.join(', ')}`;
}

function withoutLead(message: string): string {
  return message.replace(/^expected /, '');
}

function valueAt(root: unknown, path: FlowPath): unknown {
  return path.reduce<unknown>((value, part) => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    return (value as Record<PropertyKey, unknown>)[part];
  }, root);
}
