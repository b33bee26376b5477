import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { CancelSignal } from '../../src/cancel.js';
import { openTransport } from '../../src/transport/open.js';
import type { Message, StaticInfo } from '../../src/transport/transport.js';

/**
 * A replica in a process of its own, for the transport contract. `header.op`: `echo` answers what came, `sleep` does so
 * after `header.ms`, `hang` never answers, `fail` throws. What it takes and what is aborted goes to the parent.
 */
const [address = '', namespace = '', id = ''] = process.argv.slice(2);

let held = 0;

async function handle(message: Message, signal: CancelSignal): Promise<Message> {
  held += 1;
  return answer(message, signal).finally(() => (held -= 1));
}

async function answer(message: Message, signal: CancelSignal): Promise<Message> {
  const { op, ms, nonce } = message.header;
  process.send?.({ event: 'taken', op, nonce });
  signal.addEventListener('abort', () => process.send?.({ event: 'aborted', op, nonce }));
  if (op === 'sleep') await delay(Number(ms));
  if (op === 'hang') await new Promise(() => {});
  if (op === 'fail') throw new Error('the handler failed on purpose');
  return message;
}

const transport = await openTransport(address, namespace);
const info: StaticInfo = {
  id,
  executor: 'echo',
  shard: 0,
  pid: process.pid,
  host: hostname(),
  state: 'starting',
  endpoints: ['/default'],
  models: [],
  batchSize: 8,
  credit: 2,
};
const registration = await transport.register(info, handle, () => held);
registration.update({ state: 'ready' });
process.on('message', (command) => {
  if (command !== 'drain') return;
  void registration
    .drain()
    .then(() => transport.close())
    .then(() => process.disconnect());
});
process.on('disconnect', () => process.exit(0));
process.send?.({ event: 'up' });
