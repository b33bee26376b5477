import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, test } from 'node:test';
import { FlowProcess } from '../support/flow-process.js';
import { askOften, PACED_FLOW, pacedFlow } from '../support/paced-flow.js';
import { WebhookReceiver } from '../support/webhook-receiver.js';
import { signature } from '../../src/autoscale/webhook.js';

const SECRET = 'a key that both sides know';
const AUTOSCALE = 'autoscale: { min: 1, max: 3, target_ongoing: 4, up_delay: 0.5, down_delay: 60 }';

function flowWith(webhook: string): string {
  return pacedFlow('{ ms: [50] }', AUTOSCALE).replace('name: ', `autoscale_webhook: ${webhook}, name: `);
}

/** Answered while the webhook is not. */
async function serves(flow: FlowProcess): Promise<void> {
  const asked = performance.now();
  assert.equal((await askOften(flow.url, { count: 1, inFlight: 1, docs: 1 })).pids.length, 1);
  assert.ok(performance.now() - asked < 2000, 'the request waited for the webhook');
}

describe('autoscale_webhook', () => {
  test('the signature is that of the published example', () => {
    // docs.github.com, "Validating webhook deliveries".
    assert.equal(
      signature("It's a Secret to Everybody", 'Hello, World!'),
      'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
    );
  });

  test('tells the load and what is wanted, signed, when that changes and each so many seconds', async () => {
    await using receiver = await WebhookReceiver.start();
    await using flow = await FlowProcess.start({
      text: flowWith(`{ url: '${receiver.url}', every: 1, secret_env: WEBHOOK_KEY }`),
      env: { WEBHOOK_KEY: SECRET },
    });
    const { told, headers, body } = await receiver.post(({ told }) => told.executors[0]?.replicas === 1);
    assert.equal(headers['x-clipflow-signature'], `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`);
    assert.equal(headers['content-type'], 'application/json');
    assert.equal(told.flow, PACED_FLOW);
    assert.ok(Math.abs(Date.parse(told.time) - Date.now()) < 30_000, told.time);
    const idle = { queued: 0, running: 0, ongoing: 0, queue_age_seconds: 0, busy: 0 };
    assert.deepEqual(told.executors, [{ name: 'paced', ...idle, replicas: 1, wanted: 1 }]);

    const from = receiver.received.length;
    const load = askOften(flow.url, { count: 100, inFlight: 12, docs: 2 });
    const { told: busy } = await receiver.post(({ told }) => told.executors[0]?.wanted === 3, from);
    assert.ok(Number(busy.executors[0]?.ongoing) > 8, JSON.stringify(busy));
    assert.equal((await load).pids.length, 200);

    await receiver.post(undefined, receiver.received.length); // By the clock: nothing changes any more.
    const metrics = await (await fetch(`${flow.url}/metrics`)).text();
    assert.match(metrics, /^clipflow_autoscale_webhook_posts_total\{outcome="ok"\} [1-9]/m);
  });

  test('a receiver that fails is asked again, later each time, and gets what holds then; requests are served', async () => {
    await using receiver = await WebhookReceiver.start((response, index) =>
      response.writeHead(index < 2 ? 503 : 200).end('thanks'),
    );
    await using flow = await FlowProcess.start({ text: flowWith(`{ url: '${receiver.url}' }`) });
    const failed = await flow.event(({ event }) => event === 'webhook_failed');
    assert.equal(failed.reason, 'answered 503');
    assert.equal(failed.host, new URL(receiver.url).host);
    await serves(flow);
    const recovered = await flow.event(({ event }) => event === 'webhook_recovered');
    assert.equal(recovered.failures, 2);
    const [first, second, third] = receiver.received.map(({ told }) => Date.parse(told.time));
    assert.ok(first && second && third);
    assert.ok(second - first >= 1000 && third - second >= 2000, `${second - first} ms, then ${third - second} ms`);
    assert.equal(receiver.received[0]?.headers['x-clipflow-signature'], undefined);
    assert.equal(flow.events.filter(({ event }) => event === 'webhook_failed').length, 1, 'one line for one outage');
  });

  test('a receiver that hangs is given up, and holds up neither requests nor the end', async () => {
    await using receiver = await WebhookReceiver.start(() => {});
    await using flow = await FlowProcess.start({ text: flowWith(`{ url: '${receiver.url}' }`) });
    await receiver.post();
    await serves(flow);
    const { reason } = await flow.event(({ event }) => event === 'webhook_failed');
    assert.match(String(reason), /timeout/);
    await receiver.post(undefined, 1);
    const asked = performance.now();
    assert.equal(await flow.stop(), 0);
    assert.ok(performance.now() - asked < 4000, 'the end waited for the webhook');
  });

  test('a secret that is not in the environment is an error at the start', async () => {
    const text = flowWith("{ url: 'http://127.0.0.1:9/', secret_env: CLIPFLOW_NO_SUCH_KEY }");
    await using flow = FlowProcess.launch({ text });
    assert.equal(await flow.exited(), 78);
    assert.match(
      flow.stderr,
      /autoscale_webhook\.secret_env: the environment variable CLIPFLOW_NO_SUCH_KEY is not set/,
    );
  });
});
