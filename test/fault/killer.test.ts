import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FlowProcess } from '../support/flow-process.js';
import { NatsServer } from '../support/nats-server.js';
import { askOften, pacedFlow } from '../support/paced-flow.js';

/** Under load, a document aborts each process that gets it. */
async function sendKiller(transport: string): Promise<void> {
  await using flow = await FlowProcess.start({
    text: pacedFlow('{ ms: [2] }', 'replicas: 3, retries: 2'),
    args: ['--transport', transport],
  });
  const before = new Set((await flow.replicas('paced')).map(({ pid }) => pid));
  const load = askOften(flow.url, { count: 300, inFlight: 4, docs: 3 });
  const data = [{ text: 'good' }, { text: 'abort' }, { text: 'better' }];
  const { body } = await flow.post({ data, exec_endpoint: '/tag' });
  assert.match(body.header.status?.description ?? '', /^DOCUMENT_KILLS: document 1 /);
  assert.deepEqual(
    body.data.map(({ tags }) => typeof tags?.pid),
    ['number', 'undefined', 'number'],
  );
  // `askOften` fails unless every document of every request is answered, in order.
  assert.equal((await load).pids.length, 900);
  const killed = flow.events.filter(({ event, signal }) => event === 'process_exited' && signal === 'SIGABRT');
  // The first replica, one for each retry, and one or two more to tell it from what shared its batch.
  assert.ok(killed.length >= 2 && killed.length <= 5, `${killed.length} replicas died`);
  const after = await flow.untilReady('paced', 3);
  assert.ok(after.some(({ pid }) => !before.has(pid)));
}

describe('a document that aborts each process that gets it, under load', () => {
  test('embedded: it alone is answered with an error, and the flow is whole again', () => sendKiller('embedded'));

  test('NATS: the same', async () => {
    await using nats = await NatsServer.start();
    await sendKiller(nats.address);
  });
});
