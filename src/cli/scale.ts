import { ClipflowError } from '../errors.js';
import { askFlow } from '../supervise/control.js';

/** @param target `<executor>=<replicas>` */
export async function scale(target: string, { flow }: { flow?: string }): Promise<void> {
  const [, executor, replicas] = /^([^=]+)=(\d+)$/.exec(target) ?? [];
  if (executor === undefined || replicas === undefined) {
    throw new ClipflowError('INVALID_CONFIG', `"${target}": expected <executor>=<replicas>, such as clip=4`);
  }
  await askFlow(flow, { action: 'scale', executor, replicas: Number(replicas) });
  process.stdout.write(`${executor}: ${replicas}\n`);
}
