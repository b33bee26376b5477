import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FlowProcess, ROOT } from '../support/flow-process.js';
import { NatsServer } from '../support/nats-server.js';
import { freePort } from '../support/ports.js';
import { within } from '../support/until.js';

const CLI = join(ROOT, 'dist/src/cli/main.js');

/** Linux: the process exists and is no zombie. */
function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function untilGone(pids: readonly number[]): Promise<void> {
  const gone = async (): Promise<void> => {
    while (pids.some(alive)) await delay(20);
  };
  await within(gone(), `processes ${pids.join(', ')} to end`);
}

async function childrenOf(flow: FlowProcess): Promise<number[]> {
  const gateway = flow.events.find(({ event }) => event === 'gateway_listening')?.pid;
  return [Number(gateway), ...(await flow.replicas('clip')).map(({ pid }) => pid)];
}

describe('clipflow serve', () => {
  test('says how far each part is, and where it serves', async () => {
    await using flow = await FlowProcess.start();
    assert.match(flow.stdout, /^clip: 0 of 2 ready$/m);
    assert.match(flow.stdout, /^clip: 2 of 2 ready$/m);
    assert.match(flow.stdout, /^gateway: 1 of 1 ready$/m);
    assert.match(flow.stdout, /^clipflow serves localhost:\d+ \(grpc, http, websocket\)\. Ctrl-C stops it\.$/m);
    assert.equal((await fetch(`${flow.url}/healthz`)).status, 200);
    assert.equal((await fetch(`${flow.url}/readyz`)).status, 200);
  });

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal}: answers what is in hand, ends every process, exits 0`, async () => {
      const flow = await FlowProcess.start();
      const pids = await childrenOf(flow);
      const docs = Array.from({ length: 600 }, (_, i) => ({ text: `a picture of number ${i}` }));
      const answer = flow.post({ data: docs, exec_endpoint: '/encode' });
      // The request is in the gateway's hands once its queue counts it.
      while (!/^clipflow_queue_documents [1-9]/m.test(await (await fetch(`${flow.url}/metrics`)).text()))
        await delay(5);
      const code = flow.stop(signal);
      const { status, body } = await answer;
      assert.equal(status, 200);
      assert.ok(body.data.length === 600 && body.data.every(({ embedding }) => embedding?.length === 512));
      assert.equal(await code, 0);
      await untilGone(pids);
    });
  }

  test('SIGKILL of the parent leaves no orphan', async () => {
    const flow = await FlowProcess.start();
    const pids = await childrenOf(flow);
    assert.equal(pids.length, 3);
    assert.equal(await flow.stop('SIGKILL'), 'SIGKILL');
    await untilGone(pids);
  });

  test('a gateway that dies is restarted, and finds the replicas that are there', async () => {
    const port = await freePort();
    const text = `jtype: Flow\nwith: { port: ${port} }\nexecutors: [{ name: clip, uses: CLIPEncoder, uses_with: { device: cpu } }]`;
    await using flow = await FlowProcess.start({ text, args: ['--port', String(port)] });
    const [gateway, ...replicas] = await childrenOf(flow);
    const from = flow.events.length;
    process.kill(Number(gateway), 'SIGKILL');
    await flow.event(({ event, state }) => event === 'replica_state' && state === 'ready', from);
    await flow.event(({ event }) => event === 'gateway_listening', from);
    assert.deepEqual(
      (await flow.replicas('clip')).map(({ pid }) => pid),
      replicas,
    );
    assert.equal((await flow.post({ data: [{ text: 'x' }] })).body.data[0]?.embedding?.length, 512);
  });

  test('a port in use, a model that is not there, a device that cannot be had: exit 78 and one line that says why', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const executors = (settings: string): string =>
      `executors: [{ name: clip, uses: CLIPEncoder, uses_with: { ${settings} } }]`;
    const cases: [text: string, reason: RegExp, args?: string[]][] = [
      [
        `with: { host: 127.0.0.1 }\n${executors('device: cpu')}`,
        /is in use: set another one/,
        ['--port', String(port)],
      ],
      [executors('name: no-such-model'), /model \\"no-such-model\\" is not here.*model_path/],
      [executors('device: cuda'), /DEVICE_UNAVAILABLE/],
      [executors('devise: cpu'), /INVALID_CONFIG.*devise/],
    ];
    for (const [text, reason, args] of cases) {
      const flow = FlowProcess.launch({ text: `jtype: Flow\n${text}\n`, ...(args ? { args } : {}) });
      // The output ends when the last process that inherited it has ended: none is left behind.
      const outputEnded = once(flow.child, 'close');
      assert.equal(await flow.exited(), 78, flow.stderr);
      await within(outputEnded, 'every process of the flow to end');
      assert.match(flow.stderr, reason);
    }
    taken.close();
  });

  test('a port whose number an outgoing connection has: it listens once that is over', async () => {
    const server = createServer((socket) => socket.resume().on('error', () => {})).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const outgoing = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(outgoing, 'connect');
    const port = outgoing.localPort;
    const text = 'with: { host: 127.0.0.1 }\nexecutors: [{ name: clip, uses: CLIPEncoder }]';
    await using flow = FlowProcess.launch({ text, args: ['--port', String(port)] });
    await flow.event(({ event }) => event === 'port_held');
    // A reset, which leaves no TIME_WAIT.
    outgoing.resetAndDestroy();
    server.close();
    await flow.event((told) => told.event === 'gateway_listening' && told.port === port);
  });

  test('a flow that is wrong: nothing starts, each fault has its place', async () => {
    const flow = FlowProcess.launch({
      text: 'jtype: Flow\nexecutors:\n  - name: clip\n    uses: CLIPEncoder\n    replica: 2\n',
    });
    assert.equal(await flow.exited(), 78);
    assert.match(flow.stderr, /stdin:5:5.*replica.*replicas/s);
    assert.equal(flow.stdout, '');
  });
});

test('gateway and executor start alone and meet on NATS, whoever is first', async () => {
  await using nats = await NatsServer.start();
  const port = await freePort();
  const env = { ...process.env, CLIPFLOW_TRANSPORT: nats.address };
  const start = (...args: string[]) => spawn(process.execPath, [CLI, ...args], { cwd: ROOT, env, stdio: 'ignore' });
  const parts = [
    start('gateway', 'flows/default.yml', '--port', String(port)),
    start('executor', 'flows/default.yml', '--name', 'clip'),
  ];
  const ready = async (): Promise<void> => {
    for (;;) {
      const status = await fetch(`http://127.0.0.1:${port}/readyz`).then(
        (response) => response.status,
        () => 0,
      );
      if (status === 200) return;
      await delay(50);
    }
  };
  await within(ready(), 'the gateway to be ready', 60_000);
  const response = await fetch(`http://127.0.0.1:${port}/encode`, {
    method: 'POST',
    body: '{"data": ["a red circle"]}',
  });
  const { data } = (await response.json()) as { data: { embedding: number[] }[] };
  assert.equal(data[0]?.embedding.length, 512);
  for (const part of parts) {
    const exited = once(part, 'exit');
    part.kill('SIGTERM');
    assert.deepEqual(await within(exited, 'a part to drain'), [0, null]);
  }
});

test('two terminals: gateway and executor of a flow meet on the embedded transport too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'clipflow-test-'));
  const port = await freePort();
  const transport = ['--transport', `embedded:${join(folder, 'x.sock')}`];
  const start = (...args: string[]) =>
    spawn(process.execPath, [CLI, ...args, ...transport], { cwd: ROOT, stdio: 'ignore' });
  const executor = start('executor', 'flows/default.yml', '--name', 'clip');
  const gateway = start('gateway', 'flows/default.yml', '--port', String(port));
  const answered = async (): Promise<number> => {
    for (;;) {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
      if (response?.status === 200) return response.status;
      await delay(50);
    }
  };
  assert.equal(await within(answered(), 'the gateway to be ready', 60_000), 200);
  for (const part of [gateway, executor]) {
    const exited = once(part, 'exit');
    part.kill('SIGTERM');
    assert.deepEqual(await within(exited, 'a part to drain'), [0, null]);
  }
  rmSync(folder, { recursive: true });
});
