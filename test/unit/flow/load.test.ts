import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadFlow } from '../../../src/flow/load.js';
import { pollingOf } from '../../../src/flow/flow.js';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { load } from './support.js';

describe('loadFlow', () => {
  test('fills every default', () => {
    const flow = load('executors: [{uses: CLIPEncoder}]');
    assert.deepEqual(JSON.parse(JSON.stringify(flow)), {
      name: 'f',
      version: '1',
      transport: 'embedded',
      logLevel: 'info',
      uri: { allow: ['public'] },
      limits: {
        bodyBytes: 268435456,
        imagePixels: 178956970,
        imageBytes: 67108864,
        queueDocs: 10000,
        queueBytes: 536870912,
        uriBytes: 67108864,
        uriTimeoutMs: 10000,
        hangMs: 10000,
        bulkBatchMs: 5,
      },
      jobs: {
        workers: 1,
        files: join(process.env.XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), 'clipflow', 'jobs', 'f'),
        sources: {},
        concurrency: 64,
        chunk: 256,
        attempts: 8,
        retentionMs: 604800000,
        fileBytes: 1073741824,
        maxUnfinished: 100,
      },
      gateway: {
        host: '0.0.0.0',
        listen: [{ port: 51000, protocols: ['grpc', 'http', 'websocket'] }],
        cors: false,
        prefetch: 1000,
        monitoring: false,
        portMonitoring: 9090,
        exposeEndpoints: {},
        uvicornKwargs: {},
        grpcServerOptions: {},
        graceMs: 30000,
      },
      executors: [
        {
          name: 'executor0',
          uses: 'CLIPEncoder',
          with: {},
          metas: {},
          pyModules: [],
          requests: {},
          replicas: 1,
          shards: 1,
          polling: { '*': 'ANY' },
          needs: ['gateway'],
          env: {},
          timeoutReadyMs: 600000,
          retries: 3,
          monitoring: false,
          portMonitoring: [],
          graceMs: 30000,
          watch: [],
        },
      ],
      graph: { nodes: [{ name: 'executor0', needs: ['gateway'] }], ends: ['executor0'] },
      ignored: [],
    });
  });

  test('reads a flow as CLIP-as-service documents it, empty keys and keys without meaning included', () => {
    const flow = load(`
jtype: Flow
version: '1'
with:
  port: 8443
  protocol: HTTP
  cors: True
  monitoring: True
  port_monitoring: 9090
  ssl_certfile: cert.pem
  ssl_keyfile: key.pem
  uvicorn_kwargs:
    ssl_keyfile_password: blahblah
  quiet: true
executors:
  - name: clip_t
    uses:
      jtype: CLIPEncoder
      with:
      metas:
        py_modules:
          - clip_server.executors.clip_torch
    uses_with: {device: cpu}
    monitoring: true
    port_monitoring: 9091
    timeout_ready: -1
    timeout_send: 2500
    port: 1234
    replicas: 4
`);
    const [clip] = flow.executors;
    assert.ok(clip);
    assert.deepEqual(flow.gateway.listen, [{ port: 8443, protocols: ['http'] }]);
    assert.deepEqual(flow.gateway.tls, { certFile: 'cert.pem', keyFile: 'key.pem' });
    assert.deepEqual(
      [clip.uses, clip.pyModules, clip.with],
      ['CLIPEncoder', ['clip_server.executors.clip_torch'], { device: 'cpu' }],
    );
    assert.deepEqual(
      [clip.timeoutReadyMs, clip.timeoutSendMs, clip.retries, clip.portMonitoring],
      [undefined, 2500, 4, [9091]],
    );
    assert.deepEqual(flow.ignored, [
      { path: 'with', key: 'quiet' },
      { path: 'executors[0]', key: 'port' },
    ]);
  });

  test("reads Jina's older tags and merge keys", () => {
    const flow = load(
      '!Flow\nexecutors:\n  - &a {name: a, uses: !Upper {with: {x: 1}}, replicas: 2}\n  - {<<: *a, name: b}\n',
    );
    assert.deepEqual(
      flow.executors.map(({ name, uses, replicas, with: w }) => [name, uses, replicas, w]),
      [
        ['a', 'Upper', 2, { x: 1 }],
        ['b', 'Upper', 2, { x: 1 }],
      ],
    );
  });

  test('protocols on ports of their own', () => {
    const flow = load('with: {port: [1000, 0], protocol: [websocket, Grpc]}\nexecutors: [{uses: x}]');
    assert.deepEqual(flow.gateway.listen, [
      { port: 1000, protocols: ['websocket'] },
      { port: 0, protocols: ['grpc'] },
    ]);
  });

  test('`gateway` and `with` are one; executors take over what `with` says for all', () => {
    const flow = load(`
with: {timeout_ready: 5, timeout_send: 6, retries: 7, grace: 0.5, workspace: w, env: {A: 1, B: x}, monitoring: true, port: 5}
gateway: {host: '::', port: 5}
executors: [{uses: x, env: {B: y}, retries: 0}]`);
    const [x] = flow.executors;
    assert.deepEqual([flow.gateway.host, flow.gateway.listen[0]?.port, flow.gateway.graceMs], ['::', 5, 500]);
    assert.deepEqual(
      [x?.timeoutReadyMs, x?.timeoutSendMs, x?.retries, x?.graceMs, x?.workspace, x?.monitoring],
      [5, 6, 0, 500, 'w', true],
    );
    assert.deepEqual(x?.env, { A: '1', B: 'y' });
  });

  test('polling by endpoint', () => {
    const [x] = load("executors: [{uses: x, shards: 2, polling: {/search: all, '*': any}}]").executors;
    assert.ok(x);
    assert.deepEqual([pollingOf(x, '/search'), pollingOf(x, '/index')], ['ALL', 'ANY']);
  });

  test('an environment keeps its values as they are written', () => {
    const env = { N: '007' };
    const [x] = load('executors: [{uses: x, env: {A: 1.10, B: true, C: 0x1F, D: $N, E: "q", F: }}]', env).executors;
    assert.deepEqual(x?.env, { A: '1.10', B: 'true', C: '0x1F', D: '007', E: 'q', F: '' });
  });

  test('the name comes from the file', () => {
    const nameOf = (name: string): string => loadFlow({ text: 'executors: [{uses: x}]', name }, {}).name;
    assert.deepEqual(['a/onnx-flow.yml', 'my flow!.yaml', 'ü.yml'].map(nameOf), ['onnx-flow', 'my-flow', 'flow']);
    assert.equal(load('with: {name: n}\nexecutors: [{uses: x}]').name, 'n');
  });

  test('a file that cannot be read', () => {
    assert.throws(() => loadFlow({ path: 'no/such.yml' }), {
      code: 'INVALID_FLOW',
      message: /^The flow no\/such.yml cannot be read: ENOENT/,
    });
  });
});
