import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { ClipflowError } from '../../src/errors.js';
import { openTransport } from '../../src/transport/open.js';
import { FlowProcess } from '../support/flow-process.js';
import { NatsServer } from '../support/nats-server.js';
import { frame, NextReplica } from '../support/next-replica.js';
import { askOften, pacedFlow, PACED_FLOW } from '../support/paced-flow.js';
import { event } from '../support/until.js';

const INFO = 8;

describe('two versions of clipflow in one flow', () => {
  test('a replica of the next one, which says more than this one knows, answers beside ours', async (t) => {
    await using nats = await NatsServer.start();
    await using flow = await FlowProcess.start({
      text: pacedFlow('{ ms: [5] }', 'replicas: 1'),
      args: ['--transport', nats.address],
    });
    await using _next = await NextReplica.start(nats.address, PACED_FLOW, 'paced', [1, 2]);
    await flow.untilReady('paced', 2);
    const { pids } = await askOften(flow.url, { count: 100, inFlight: 8, docs: 4 });
    const ours = pids.filter((pid) => pid > 0).length;
    t.diagnostic(`of ${pids.length} documents ours answered ${ours}`);
    assert.equal(pids.length, 400);
    assert.ok(ours > 0 && ours < 400);
  });

  test('a replica that speaks another envelope only gets nothing; the log says once why, with both versions', async () => {
    await using nats = await NatsServer.start();
    await using flow = await FlowProcess.start({
      text: pacedFlow('{ ms: [1] }', 'replicas: 1'),
      args: ['--transport', nats.address],
    });
    await using _next = await NextReplica.start(nats.address, PACED_FLOW, 'paced', [2, 3]);
    const { reason } = await flow.event((one) => one.event === 'replica_refused');
    assert.match(
      String(reason),
      /^replica next-2-3 on tomorrow speaks version 2 or 3 of the transport's envelope, this side speaks 1: update/,
    );
    const { pids } = await askOften(flow.url, { count: 50, inFlight: 8, docs: 4 });
    assert.equal(new Set(pids).size, 1);
    assert.equal(flow.events.filter((one) => one.event === 'replica_refused').length, 1);
  });

  test('embedded: the connection is closed, and the gateway says why', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'clipflow-envelope-'));
    const path = join(folder, 'gateway.sock');
    const transport = await openTransport(`embedded:${path}`, 'envelope');
    const refused: ClipflowError[] = [];
    const directory = await transport.watch((error) => refused.push(error));
    const socket = createConnection(path);
    const info = frame(2, INFO, 0, Buffer.from('{}'));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(info.length);
    socket.write(Buffer.concat([length, info]));
    await event(socket, 'close');
    assert.deepEqual(
      refused.map(({ code, message }) => [code, /version 2 .* speaks 1:/.test(message)]),
      [['TRANSPORT_FAILED', true]],
    );
    assert.equal(directory.replicas.size, 0);
    await transport.close();
    await rm(folder, { recursive: true });
  });
});
