import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pino } from 'pino';
import { decodeOutcomes, encodeCall } from '../../../src/call.js';
import { Document } from '../../../src/document/document.js';
import { loadFlow } from '../../../src/flow/load.js';
import { EmbeddedTransport } from '../../../src/transport/embedded.js';
import type { Directory, Replica } from '../../../src/transport/transport.js';
import { startReplica, type ReplicaOptions } from '../../../executors/main.js';
import { nextChange, replicaWhere } from '../../support/until.js';

const log = pino({ level: 'silent' });
/** Ready when the test sets `globalThis.open`; tells what it is by its answers. */
const EXECUTOR = `
  import { Executor } from ${JSON.stringify(new URL('../../../executors/mod.js', import.meta.url).href)};
  export default class Told extends Executor {
    static requests = { '/tell': 'tell' };
    batchSize = 5;
    async setup() { await globalThis.clipflowTest.open; }
    async close() { globalThis.clipflowTest.closed += 1; }
    tell(docs) {
      const { name, shard, shards, replica, replicasOnMachine, workspace, with: settings } = this.context;
      for (const doc of docs) doc.tags = { name, shard, shards, replica, replicasOnMachine, workspace, settings };
    }
    shout(docs) { for (const doc of docs) doc.text = doc.text.toUpperCase(); }
  }`;

let folder: string;
let transport: EmbeddedTransport;
let directory: Directory;
let options: ReplicaOptions;
const shared = { open: Promise.resolve(), closed: 0 };

before(async () => {
  Object.assign(globalThis, { clipflowTest: shared });
  folder = mkdtempSync(join(tmpdir(), 'clipflow-replica-'));
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  writeFileSync(join(folder, 'told.js'), EXECUTOR);
  const socket = join(folder, 'gateway.sock');
  transport = new EmbeddedTransport(socket);
  directory = await transport.watch();
  options = { name: 'told', shard: 1, replica: 2, replicasOnMachine: 3, transport: `embedded:${socket}` };
});
after(async () => {
  await transport.close();
  rmSync(folder, { recursive: true, force: true });
});

function flow(settings = '') {
  const file = join(folder, 'flow.yml');
  writeFileSync(file, `executors: [{name: told, uses: ./told.js, shards: 2${settings}}]\n`);
  return loadFlow({ path: file }, {});
}

async function ask(replica: Replica, endpoint: string): Promise<Document> {
  const docs = [new Document({ id: '1', text: 'hello' }).toBytes()];
  const [outcome] = decodeOutcomes(await replica.call(encodeCall({ endpoint, parameters: {}, docs })), 1).outcomes;
  assert.ok(outcome && 'doc' in outcome);
  return Document.fromBytes(outcome.doc);
}

describe('a replica', () => {
  test('shows itself as starting at once, refuses calls until it is ready, and says goodbye', async () => {
    let open = (): void => {};
    shared.open = new Promise((resolve) => (open = resolve));
    const starting = startReplica(flow(), options, log);
    const replica = await replicaWhere(directory, ({ info }) => info.executor === 'told');
    assert.equal(replica.info.state, 'starting');
    assert.match(replica.info.id, /^told-1-2-[0-9a-f]{8}$/);
    await assert.rejects(ask(replica, '/tell'), { code: 'UNAVAILABLE', message: /is still starting$/ });
    open();
    const running = await starting;
    await replicaWhere(directory, ({ info }) => info.state === 'ready');
    const { executor, shard, pid, endpoints, batchSize, credit } = replica.info;
    assert.deepEqual(
      { executor, shard, pid, endpoints, batchSize, credit },
      { executor: 'told', shard: 1, pid: process.pid, endpoints: ['/tell'], batchSize: 5, credit: 2 },
    );
    const left = nextChange(directory, 'left');
    await running.drain();
    await left;
    assert.equal(shared.closed, 1);
  });

  test('is made with what the flow says of it', async () => {
    const settings = `, batch_size: 9, workspace: ${folder}/keep, uses_with: {a: 1}, uses_requests: {/shout: shout}`;
    const running = await startReplica(flow(settings), options, log);
    const replica = await replicaWhere(directory, ({ info }) => info.state === 'ready');
    assert.deepEqual(replica.info.endpoints, ['/tell', '/shout']);
    assert.equal(replica.info.batchSize, 9);
    assert.deepEqual((await ask(replica, '/tell')).tags, {
      name: 'told',
      shard: 1,
      shards: 2,
      replica: 2,
      replicasOnMachine: 3,
      workspace: join(folder, 'keep', 'told', '1'),
      settings: { a: 1 },
    });
    assert.equal((await ask(replica, '/shout')).text, 'HELLO');
    await running.drain();
  });

  test('of an executor that the flow does not have is INVALID_CONFIG', async () => {
    await assert.rejects(startReplica(flow(), { ...options, name: 'other' }, log), {
      code: 'INVALID_CONFIG',
      message: 'the flow has no executor "other"; it has: told',
    });
  });
});
