import type { ResolveHook } from 'node:module';

/** Executors are modules: without this, tsx takes a file in a folder without `"type": "module"` for CommonJS. */
export const resolve: ResolveHook = async (specifier, context, next) => {
  const found = await next(specifier, context);
  return /\.ts(\?|$)/.test(found.url) ? { ...found, format: 'module' } : found;
};
