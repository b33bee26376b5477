import { existsSync } from 'node:fs';
import { createRequire, register } from 'node:module';
import { isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ClipflowError } from '../src/errors.js';
import { Executor, type ExecutorClass } from './executor.js';

/** Executors that ship, by the names that flows use: ours, and those of CLIP-as-service's Python modules. */
const BUILT_IN = new Map<string, () => Promise<ExecutorClass>>([
  ['CLIPEncoder', async () => (await import('./clip/clip-executor.js')).ClipExecutor],
  ['BaseExecutor', async () => BaseExecutor],
]);

/** Serves nothing, so documents pass: an executor that only joins branches. */
class BaseExecutor extends Executor {}

/**
 * The class that a flow's `uses` names: one that ships, a file (`./x.ts`, `./x.js`, from the flow's folder), or a
 * package. A module exports it as default, or as its only executor.
 */
export async function loadExecutorClass(uses: string, flowFolder: string): Promise<ExecutorClass> {
  const builtIn = BUILT_IN.get(uses);
  if (builtIn) return builtIn();
  const file = fileOf(uses, flowFolder);
  supportSelfImport();
  if (file.endsWith('.ts')) await supportTypeScript();
  const exported = await importModule(uses, file);
  const classes = [exported.default, ...Object.values(exported)].filter(isExecutorClass);
  const [found] = classes;
  if (!found || (found !== exported.default && new Set(classes).size > 1)) {
    throw new ClipflowError(
      'INVALID_FLOW',
      `uses: "${uses}": ${file} must export one class that extends Executor (as default, or as its only one)`,
    );
  }
  return found;
}

/**
 * Fails where `loadExecutorClass` would find nothing to load; loads nothing.
 * @throws INVALID_FLOW
 */
export function checkExecutor(uses: string, flowFolder: string): void {
  if (BUILT_IN.has(uses)) return;
  const file = fileOf(uses, flowFolder);
  if (!existsSync(file)) throw new ClipflowError('INVALID_FLOW', `uses: "${uses}": there is no ${file}`);
}

function fileOf(uses: string, flowFolder: string): string {
  const isPath = uses.startsWith('.') || isAbsolute(uses);
  return isPath ? resolve(flowFolder, uses) : resolvePackage(uses, flowFolder);
}

async function importModule(uses: string, file: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ClipflowError('INVALID_FLOW', `uses: "${uses}": ${file} cannot be loaded: ${why}`, { cause });
  }
}

function resolvePackage(name: string, flowFolder: string): string {
  try {
    return createRequire(join(flowFolder, 'flow.yml')).resolve(name);
  } catch (cause) {
    const known = [...BUILT_IN.keys()].join(', ');
    throw new ClipflowError(
      'INVALID_FLOW',
      `uses: "${name}" is none of the executors that ship (${known}), no path (./file.ts) and no installed package`,
      { cause },
    );
  }
}

let selfImport = false;

function supportSelfImport(): void {
  if (!selfImport) register('./self-import.js', import.meta.url);
  selfImport = true;
}

let typescript: Promise<unknown> | undefined;

/** Node before 22.18 cannot load TypeScript by itself. */
function supportTypeScript(): Promise<unknown> {
  if ('typescript' in process.features && process.features.typescript) return Promise.resolve();
  typescript ??= import('tsx/esm/api').then((tsx) => {
    tsx.register();
    register('./typescript-hooks.js', import.meta.url);
  });
  return typescript;
}

function isExecutorClass(value: unknown): value is ExecutorClass {
  return typeof value === 'function' && value.prototype instanceof Executor;
}
