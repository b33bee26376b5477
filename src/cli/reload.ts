import { askFlow } from '../supervise/control.js';

/** @param executor all of them unless given */
export async function reload(executor: string | undefined, { flow }: { flow?: string }): Promise<void> {
  await askFlow(flow, { action: 'reload', ...(executor === undefined ? {} : { executor }) });
  process.stdout.write(`${executor ?? 'all executors'}: reloaded\n`);
}
