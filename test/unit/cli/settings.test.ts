import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadFlowWith, portNumber, type Flags } from '../../../src/cli/settings.js';
import type { Flow } from '../../../src/flow/flow.js';

let folder: string;
before(() => (folder = mkdtempSync(join(tmpdir(), 'clipflow-settings-'))));
after(() => rmSync(folder, { recursive: true, force: true }));

async function flowWith(settings: string, flags: Flags = {}, env: NodeJS.ProcessEnv = {}): Promise<Flow> {
  const path = join(folder, 'flow.yml');
  writeFileSync(path, `with: ${settings}\nexecutors: [{uses: x}]\n`);
  return (await loadFlowWith(path, flags, env)).flow;
}

describe('a flag goes over the environment, which goes over the flow', () => {
  const FILE = '{transport: "nats://file:1", log_level: error, uri: {allow: [file]}}';
  const ENV = {
    CLIPFLOW_TRANSPORT: 'nats://env:2',
    CLIPFLOW_LOG_LEVEL: 'warn',
    JINA_LOG_LEVEL: 'fatal',
    CLIPFLOW_URI_ALLOW: 'private',
  };
  const FLAGS = { transport: 'nats://flag:3', logLevel: 'debug', uriAllow: 'public,private' };
  const of = ({ transport, logLevel, uri }: Flow) => ({ transport, logLevel, allow: uri.allow });

  test('each alone', async () => {
    assert.deepEqual(of(await flowWith(FILE)), { transport: 'nats://file:1', logLevel: 'error', allow: ['file'] });
    const env = { transport: 'nats://env:2', logLevel: 'warn', allow: ['private'] };
    assert.deepEqual(of(await flowWith(FILE, {}, ENV)), env);
    const flag = { transport: 'nats://flag:3', logLevel: 'debug', allow: ['public', 'private'] };
    assert.deepEqual(of(await flowWith(FILE, FLAGS, ENV)), flag);
  });

  test('nothing said: the defaults', async () => {
    const defaults = { transport: 'embedded', logLevel: 'info', allow: ['public'] };
    assert.deepEqual(of(await flowWith('{}')), defaults);
  });

  test('JINA_LOG_LEVEL counts where ours is not set, and levels may be Python’s', async () => {
    assert.equal((await flowWith('{}', {}, { JINA_LOG_LEVEL: 'WARNING' })).logLevel, 'warn');
    assert.equal((await flowWith('{}', { logLevel: 'Critical' })).logLevel, 'fatal');
  });

  test('CLIPFLOW_JOBS_FILES says where the files of jobs lie, and leaves the rest of jobs as it is', async () => {
    const env = { CLIPFLOW_JOBS_FILES: '/jobs' };
    const { jobs } = await flowWith('{jobs: {files: ./here, chunk: 7}}', {}, env);
    assert.deepEqual([jobs.files, jobs.chunk], ['/jobs', 7]);
    assert.equal((await flowWith('{jobs: {files: ./here}}', {}, { CLIPFLOW_JOBS_FILES: '' })).jobs.files, './here');
  });

  test('what they cannot mean is INVALID_CONFIG', async () => {
    await assert.rejects(flowWith('{}', { logLevel: 'loud' }), { code: 'INVALID_CONFIG', message: /"loud"/ });
    await assert.rejects(flowWith('{}', { uriAllow: 'everything' }), { code: 'INVALID_CONFIG', message: /everything/ });
  });
});

describe('--port', () => {
  test('sets the port, whose protocols stay', async () => {
    const { gateway } = await flowWith('{port: 51000, protocol: [grpc, http]}', { port: '0' });
    assert.deepEqual(gateway.listen, [{ port: 0, protocols: ['grpc', 'http'] }]);
  });

  test('cannot say which of several it means', async () => {
    await assert.rejects(flowWith('{port: [1, 2], protocol: [grpc, http]}', { port: '5' }), {
      code: 'INVALID_CONFIG',
      message: '--port sets one port, but this flow lists several (with.port)',
    });
  });

  test('is a whole number from 0 to 65535', () => {
    assert.deepEqual(
      ['0', '80', '65535'].map((text) => portNumber(text, '--port')),
      [0, 80, 65535],
    );
    for (const text of ['', ' ', '-1', '65536', '1.5', '0x50', '1e3', 'http', '99999999999999999999']) {
      assert.throws(() => portNumber(text, '--port'), {
        code: 'INVALID_CONFIG',
        message: `--port "${text}": expected a port from 0 to 65535`,
      });
    }
  });
});

test('a flow that cannot be read is INVALID_FLOW', async () => {
  await assert.rejects(loadFlowWith(join(folder, 'none.yml'), {}, {}), {
    code: 'INVALID_FLOW',
    message: /cannot be read/,
  });
});
