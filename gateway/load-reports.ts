import type { ExecutorLoad } from '../src/autoscale/load.js';
import type { FlowDispatch } from './dispatch/flow-dispatch.js';

/** Often enough that a request for an executor at zero hardly waits for it. */
const REPORT_MS = 250;

/** Tells the load of every executor from now on; returns a function that ends it. */
export function reportLoads(dispatch: FlowDispatch, tell: (loads: ExecutorLoad[]) => void): () => void {
  const timer = setInterval(() => tell(dispatch.loads()), REPORT_MS).unref();
  return () => clearInterval(timer);
}
