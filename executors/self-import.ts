import type { ResolveHook } from 'node:module';

/** `clipflow` is the one that runs, wherever the executor's file lies: another copy would have another `Executor`. */
export const resolve: ResolveHook = (specifier, context, next) =>
  next(specifier, specifier === 'clipflow' ? { ...context, parentURL: import.meta.url } : context);
