import { readFileSync } from 'node:fs';
import { basename, relative, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ClipflowError } from '../errors.js';
import { explain } from './explain.js';
import { asList, executorName, fillFlow } from './fill.js';
import type { Flow, IgnoredKey } from './flow.js';
import { graphProblems } from './graph.js';
import { IGNORED_IN_EXECUTOR, IGNORED_IN_GATEWAY, IGNORED_IN_USES } from './jina-keys.js';
import { formatPath } from './problem.js';
import type { FlowPath, Problem } from './problem.js';
import { flowFile } from './schema.js';
import { FlowSource } from './source.js';

/** A file, or its text; `name` stands for the file in messages and gives the flow its name. */
export type FlowOrigin = { path: string } | { text: string; name?: string };

type Mapping = Record<string, unknown>;

/**
 * Reads a flow: YAML, variables replaced, checked, defaults filled in.
 * @param env variables for `${{ ENV.X }}`, `${X}` and `$X`
 * @throws INVALID_FLOW with every problem of the file, each as `file:line:column: path: what was expected and found`
 */
export function loadFlow(origin: FlowOrigin, env: NodeJS.ProcessEnv = process.env): Flow {
  const { text, label, file } = read(origin);
  const source = new FlowSource(label, text, env);
  const root = source.value;
  if (isMapping(root)) normalise(root, source);
  const parsed = flowFile.safeParse(root);
  const problems =
    root === undefined ? [] : [...(parsed.success ? [] : explain(parsed.error.issues, root)), ...crossChecks(root)];
  const report = source.report(problems);
  if (report !== undefined || !parsed.success) throw new ClipflowError('INVALID_FLOW', report ?? `${label} is empty.`);
  return { ...fillFlow(parsed.data, { name: flowName(label), file }), ignored: ignoredKeys(root) };
}

function read(origin: FlowOrigin): { text: string; label: string; file: string | undefined } {
  if ('text' in origin) return { text: origin.text, label: origin.name ?? 'flow', file: undefined };
  const file = resolve(origin.path);
  const inside = relative(process.cwd(), file);
  const label = inside.startsWith('..') ? file : inside;
  try {
    return { text: readFileSync(file, 'utf8'), label, file };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ClipflowError('INVALID_FLOW', `The flow ${label} cannot be read: ${reason}.`, { cause: error });
  }
}

/** The name of the file without its ending, in the letters that a name may have. */
function flowName(label: string): string {
  const stem = basename(label).replace(/\.(ya?ml|json|jaml)$/i, '');
  return stem.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '') || 'flow';
}

/** A key without a value counts as not given, as in Jina; variables of an environment are taken as they are written. */
function normalise(root: Mapping, source: FlowSource): void {
  for (const [path, block] of blocks(root)) {
    for (const [key, value] of Object.entries(block)) if (value === null) delete block[key];
    const { env } = block;
    if (path.at(-1) === 'uses' || !isMapping(env)) continue;
    for (const key of Object.keys(env)) env[key] = source.textAt([...path, 'env', key]) ?? env[key];
  }
}

/** The mappings of a flow that hold settings, outer ones first, with their paths. */
function* blocks(root: Mapping): Generator<[FlowPath, Mapping]> {
  yield [[], root];
  for (const key of ['with', 'gateway']) if (isMapping(root[key])) yield [[key], root[key]];
  for (const [index, executor] of (Array.isArray(root.executors) ? root.executors : []).entries()) {
    if (!isMapping(executor)) continue;
    yield [['executors', index], executor];
    if (isMapping(executor.uses)) yield [['executors', index, 'uses'], executor.uses];
  }
}

/** What no single field can tell; each check looks only at what has the right type, the schema reports the rest. */
function crossChecks(root: unknown): Problem[] {
  if (!isMapping(root)) return [];
  return [...settingsProblems(root), ...namesAndNeeds(root)];
}

function settingsProblems(root: Mapping): Problem[] {
  const [first, second] = [asMapping(root.with), asMapping(root.gateway)];
  const problems: Problem[] = Object.keys(second)
    .filter((key) => Object.hasOwn(first, key) && !isDeepStrictEqual(first[key], second[key]))
    .map((key) => ({
      path: ['gateway', key],
      at: 'key',
      message: `with.${key} says something else; keep one of the two`,
    }));
  const settings = { ...first, ...second };
  const pathOf = (key: string): FlowPath => [Object.hasOwn(second, key) ? 'gateway' : 'with', key];
  const add = (key: string, message: string): void => void problems.push({ path: pathOf(key), at: 'value', message });

  const { port, protocol } = settings;
  if (Array.isArray(port) && port.length > 1) {
    const protocols = protocol === undefined ? 3 : asList(protocol).length;
    if (port.length !== protocols)
      add('port', `expected one port, or one for each of the ${protocols} protocols, found ${port.length}`);
    if (port.some((one, index) => one !== 0 && port.indexOf(one) !== index)) {
      add('port', 'a port stands there twice; give one port alone for all protocols');
    }
  }
  const [cert, key] = ['ssl_certfile', 'ssl_keyfile'];
  if (settings[cert] !== undefined && settings[key] === undefined) add(cert, `needs ${key} beside it`);
  if (settings[key] !== undefined && settings[cert] === undefined) add(key, `needs ${cert} beside it`);
  return problems;
}

function namesAndNeeds(root: Mapping): Problem[] {
  const executors = (Array.isArray(root.executors) ? root.executors : []).map((executor: unknown, index) => {
    const { name, needs } = asMapping(executor);
    return {
      name: executorName(typeof name === 'string' ? name : undefined, index),
      needs: asList(needs).filter((need) => typeof need === 'string'),
    };
  });
  return graphProblems(executors).map(({ index, field, need, message }) => {
    const given = asMapping((root.executors as unknown[])[index])[field];
    return {
      path: ['executors', index, field, ...(Array.isArray(given) && need !== undefined ? [need] : [])],
      at: 'value',
      message,
    };
  });
}

function ignoredKeys(root: unknown): IgnoredKey[] {
  return [...blocks(asMapping(root))].flatMap(([path, block]) => {
    const known: readonly string[] =
      path.length === 1 ? IGNORED_IN_GATEWAY : path.at(-1) === 'uses' ? IGNORED_IN_USES : IGNORED_IN_EXECUTOR;
    if (path.length === 0) return [];
    return Object.keys(block)
      .filter((key) => known.includes(key))
      .map((key) => ({ path: formatPath(path), key }));
  });
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asMapping(value: unknown): Mapping {
  return isMapping(value) ? value : {};
}
