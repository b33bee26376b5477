import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import type { PostAnswer } from './flow-process.js';

const EXECUTOR = fileURLToPath(new URL('./paced-executor.js', import.meta.url));

/** Not that of a run that was cut off and left its flow behind. */
export const PACED_FLOW = `paced-${process.pid}`;

/** A flow of `PacedExecutor`s named `paced`. */
export function pacedFlow(settings: string, executor = 'replicas: 2'): string {
  return `with: { name: ${PACED_FLOW} }
executors: [{ name: paced, uses: ${JSON.stringify(EXECUTOR)}, uses_with: ${settings}, ${executor} }]`;
}

/** Asks `url` for the process of each document, `inFlight` requests of `docs` documents at a time, `count` in all. */
export async function askOften(
  url: string,
  { count, inFlight, docs }: { count: number; inFlight: number; docs: number },
): Promise<{ pids: number[]; latenciesMs: number[] }> {
  const pids: number[] = [];
  const latenciesMs: number[] = [];
  let left = count;
  const data = Array.from({ length: docs }, (_, i) => ({ id: String(i), text: 'a' }));
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const sent = performance.now();
      const answer = await fetch(`${url}/post`, {
        method: 'POST',
        body: JSON.stringify({ data, exec_endpoint: '/tag' }),
      });
      const body = (await answer.json()) as PostAnswer;
      latenciesMs.push(performance.now() - sent);
      assert.equal(body.header.status, null, JSON.stringify(body.header));
      assert.deepEqual(
        body.data.map(({ id }) => id),
        data.map(({ id }) => id),
      );
      for (const { tags } of body.data) pids.push(Number(tags?.pid));
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { pids, latenciesMs };
}

/** Documents by process, the fewest first. */
export function shares(pids: readonly number[]): number[] {
  const counts = new Map<number, number>();
  for (const pid of pids) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  return [...counts.values()].sort((a, b) => a - b);
}
