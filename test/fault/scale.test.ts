import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clipflow } from '../support/clipflow.js';
import { FlowProcess } from '../support/flow-process.js';
import { Load } from '../support/load.js';
import { askOften, PACED_FLOW, pacedFlow } from '../support/paced-flow.js';

test('clipflow scale: 1 -> 3 -> 1 under load, no request fails', async (t) => {
  const text = 'with: { name: scaled }\nexecutors: [{ name: clip, uses: CLIPEncoder, uses_with: { device: cpu } }]';
  await using flow = await FlowProcess.start({ text });
  const ready = async (): Promise<number> =>
    (await flow.replicas('clip')).filter(({ state }) => state === 'ready').length;
  const load = new Load(flow, 8);
  await load.untilAnswered(20);
  assert.equal(await clipflow('scale', 'clip=3', '--flow', 'scaled'), 'clip: 3\n');
  assert.equal(await ready(), 3);
  await load.untilAnswered(50);
  await clipflow('scale', 'clip=1', '--flow', 'scaled');
  await load.untilAnswered(20);
  await load.stop();
  assert.equal(await ready(), 1);
  assert.match(flow.stdout, /^clip: 3 of 3 ready$/m);
  t.diagnostic(`${load.answered} answered, ${load.failures.length} failed`);
  assert.deepEqual(load.failures, []);
});

test('clipflow scale to 0: requests wait, and are answered once there is a replica again', async () => {
  const text = 'with: { name: to-zero }\nexecutors: [{ name: clip, uses: CLIPEncoder, uses_with: { device: cpu } }]';
  await using flow = await FlowProcess.start({ text });
  await clipflow('scale', 'clip=0', '--flow', 'to-zero');
  assert.deepEqual(await flow.replicas('clip'), []);
  const answer = flow.post({ data: [{ text: 'a red circle' }] });
  await clipflow('scale', 'clip=1', '--flow', 'to-zero');
  assert.equal((await answer).body.data[0]?.embedding?.length, 512);
});

test('clipflow scale: what is not there is named', async () => {
  const failed = async (...args: string[]): Promise<string> => {
    try {
      await clipflow(...args);
      return '';
    } catch (error) {
      return (error as { stderr: string }).stderr;
    }
  };
  assert.match(await failed('scale', 'clip'), /expected <executor>=<replicas>/);
  assert.match(await failed('scale', 'clip=1', '--flow', 'no-such-flow'), /no flow "no-such-flow" runs here/);
  const text = 'with: { name: named }\nexecutors: [{ name: clip, uses: CLIPEncoder, uses_with: { device: cpu } }]';
  await using flow = await FlowProcess.start({ text });
  assert.match(await failed('scale', 'clap=1', '--flow', 'named'), /no executor "clap"; it has: clip/);
  assert.equal((await flow.replicas('clip')).length, 1);
});

test('autoscale: up and down with the load, to zero and back, no request fails', async (t) => {
  const autoscale = '{ min: 0, max: 3, target_ongoing: 8, up_delay: 0.5, down_delay: 1 }';
  await using flow = await FlowProcess.start({ text: pacedFlow('{ ms: [50] }', `autoscale: ${autoscale}`) });
  assert.equal((await flow.untilReady('paced', 1)).length, 1);
  const load = askOften(flow.url, { count: 400, inFlight: 12, docs: 2 });
  await flow.untilReady('paced', 3);
  assert.equal((await load).pids.length, 800);
  await flow.untilReady('paced', 0);
  assert.equal((await fetch(`${flow.url}/readyz`)).status, 200, 'at zero on purpose');
  const asked = performance.now();
  assert.equal((await askOften(flow.url, { count: 1, inFlight: 1, docs: 1 })).pids.length, 1);
  t.diagnostic(`the first request at zero was answered after ${Math.round(performance.now() - asked)} ms`);
  await assert.rejects(clipflow('scale', 'paced=2', '--flow', PACED_FLOW), /is scaled by its load, between 0 and 3/);
});
