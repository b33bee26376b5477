import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FlowProcess } from '../support/flow-process.js';

const EXECUTOR = fileURLToPath(new URL('../support/hanging-executor.js', import.meta.url));

async function startFlow(t: TestContext, limits = '{}'): Promise<FlowProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'clipflow-hang-'));
  t.after(() => rm(folder, { recursive: true }));
  const marker = JSON.stringify(join(folder, 'marker'));
  return FlowProcess.start({
    text: `with: {limits: ${limits}}
executors:
  - {name: hanging, uses: ${JSON.stringify(EXECUTOR)}, replicas: 2, uses_with: {marker: ${marker}}}`,
  });
}

/** Which process answered each text; fails unless all of them were. */
async function ask(flow: FlowProcess, ...texts: string[]): Promise<unknown[]> {
  const { status, body } = await flow.post({ data: texts.map((text) => ({ text })), exec_endpoint: '/tag' });
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.header.status, null);
  return body.data.map(({ tags }) => tags?.pid ?? assert.fail('not answered'));
}

/** Asks until `wanted` holds for the processes of some answers in a row. */
async function askUntil(flow: FlowProcess, wanted: (pids: ReadonlySet<unknown>) => boolean): Promise<void> {
  for (let round = 0; round < 1000; round++) {
    const pids = new Set<unknown>();
    for (let i = 0; i < 6; i++) pids.add((await ask(flow, 'a'))[0]);
    if (wanted(pids)) return;
  }
  assert.fail('waited in vain');
}

describe('a replica that takes work and answers nothing', () => {
  test('another one answers; it is left out until it answers itself', async (t) => {
    await using flow = await startFlow(t, '{hang: 500}');
    await askUntil(flow, (pids) => pids.size === 2);
    const asked = performance.now();
    const [pid] = new Set(await ask(flow, 'x', 'hang', 'y'));
    const ms = performance.now() - asked;
    t.diagnostic(`answered after ${Math.round(ms)} ms`);
    assert.ok(ms >= 500 && ms < 5000, `${ms} ms`);
    const { replica } = await flow.event(({ event }) => event === 'replica_hung');
    const hung = (await flow.replicas('hanging')).find(({ id }) => id === replica);
    assert.ok(hung && hung.pid !== pid);
    for (let i = 0; i < 20; i++) assert.deepEqual(await ask(flow, 'a'), [pid]);
    process.kill(hung.pid, 'SIGUSR2');
    await askUntil(flow, (pids) => pids.has(hung.pid));
  });

  test('one that gives itself up ends at once, even with a thread in native code, and is started again', async (t) => {
    await using flow = await startFlow(t);
    const from = flow.events.length;
    await ask(flow, 'x', 'stuck');
    await flow.event(({ event }) => event === 'process_exited', from);
    await flow.event(({ event }) => event === 'replica_ready', from);
    const events = flow.events.slice(from).map(({ event, signal }) => [event, signal]);
    assert.ok(events.some(([event]) => event === 'replica_died'));
    assert.ok(events.some(([event, signal]) => event === 'process_exited' && signal === 'SIGKILL'));
  });

  test('SIGSTOP under load: no request fails; SIGCONT brings it back', async (t) => {
    await using flow = await startFlow(t);
    await askUntil(flow, (pids) => pids.size === 2);
    let running = true;
    let answered = 0;
    const load = Promise.all(
      Array.from({ length: 4 }, async () => {
        for (; running; answered++) await ask(flow, 'a', 'b');
      }),
    );
    const [victim] = await flow.replicas('hanging');
    assert.ok(victim);
    const change = (state: string, from: number) =>
      flow.event(
        (event) => event.event === 'replica_state' && event.replica === victim.id && event.state === state,
        from,
      );
    const from = flow.events.length;
    process.kill(victim.pid, 'SIGSTOP');
    try {
      await Promise.race([change('lost', from), load]);
    } finally {
      process.kill(victim.pid, 'SIGCONT');
    }
    await Promise.race([change('ready', from), load]);
    await Promise.race([askUntil(flow, (pids) => pids.has(victim.pid)), load]);
    running = false;
    await load;
    t.diagnostic(`${answered} answered, none failed`);
  });
});
