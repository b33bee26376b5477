import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import {
  Client,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ClientDuplexStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { join } from 'node:path';
import { service as healthService } from 'grpc-health-check';
import { FlowProcess, ROOT } from '../support/flow-process.js';
import { within } from '../support/until.js';

/** The published protos, read by an implementation that is not ours. */
const PROTOS = loadSync('jina.proto', {
  includeDirs: [join(ROOT, 'test/fixtures/wire')],
  keepCase: true,
  defaults: true,
  arrays: true,
});

interface Answer {
  header: { request_id: string; status: { code: string; description: string } | null };
  data: { docs: { docs: { id: string; embedding: { dense: { buffer: Buffer } } | null }[] } };
}

function connect(flow: FlowProcess): Client {
  return new Client(flow.url.replace('http://', ''), credentials.createInsecure());
}

function method(serviceName: string, name: string) {
  const definition = (
    PROTOS[serviceName] as Record<
      string,
      { path: string; requestSerialize: (v: object) => Buffer; responseDeserialize: (b: Buffer) => unknown }
    >
  )[name];
  assert.ok(definition);
  return definition;
}

async function unary(client: Client, serviceName: string, name: string, request: object): Promise<unknown> {
  const { path, requestSerialize, responseDeserialize } = method(serviceName, name);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, value) =>
      error ? reject(error) : resolve(value),
    );
  });
}

function openStream(client: Client, metadata = new Metadata()): ClientDuplexStream<object, Answer> {
  const { path, requestSerialize, responseDeserialize } = method('jina.JinaRPC', 'Call');
  return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize as (b: Buffer) => Answer, metadata);
}

function request(id: string, texts: string[]): object {
  const docs = texts.map((text, i) => ({ id: `${id}-${i}`, text }));
  return { header: { request_id: id, exec_endpoint: '/encode' }, data: { docs: { docs } } };
}

describe('gRPC', () => {
  let flow: FlowProcess;
  let client: Client;

  before(async () => {
    flow = await FlowProcess.start();
    client = connect(flow);
  });
  after(async () => {
    client.close();
    assert.equal(await flow.stop(), 0);
  });

  test('a stream of 200 requests is answered in their order', async () => {
    const stream = openStream(client);
    const answers: Answer[] = [];
    stream.on('data', (answer: Answer) => answers.push(answer));
    const ended = once(stream, 'end');
    for (let i = 0; i < 200; i++) stream.write(request(`r${i}`, [`text ${i}`, 'a red circle']));
    stream.end();
    await within(ended, 'the stream to end');
    assert.deepEqual(
      answers.map(({ header }) => header.request_id),
      Array.from({ length: 200 }, (_, i) => `r${i}`),
    );
    for (const { data } of answers) {
      for (const doc of data.docs.docs) assert.equal(doc.embedding?.dense.buffer.length, 2048);
    }
  });

  test('health, dry run, info, endpoints and reflection', async () => {
    assert.deepEqual(await unary(client, 'jina.JinaGatewayDryRunRPC', 'dry_run', {}), {
      code: 0,
      description: '',
      exception: null,
    });
    const { endpoints } = (await unary(client, 'jina.JinaDiscoverEndpointsRPC', 'endpoint_discovery', {})) as {
      endpoints: string[];
    };
    assert.deepEqual(endpoints, ['/', '/default', '/encode', '/rank']);
    const info = (await unary(client, 'jina.JinaInfoRPC', '_status', {})) as { jina: Record<string, string> };
    assert.match(info.jina.clipflow ?? '', /^\d+\.\d+\.\d+/);

    const check = healthService.Check;
    assert.ok(check);
    const health = await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        check.path,
        check.requestSerialize,
        check.responseDeserialize,
        { service: 'jina.JinaRPC' },
        (error, value) => (error ? reject(error) : resolve(value)),
      );
    });
    assert.equal((health as { status: string | number }).status, 'SERVING');

    const reflection = loadPackageDefinition(
      loadSync('reflection.proto', {
        includeDirs: [join(ROOT, 'node_modules/@grpc/reflection/build/proto/grpc/reflection/v1alpha')],
      }),
    ) as unknown as {
      grpc: {
        reflection: {
          v1alpha: {
            ServerReflection: new (
              a: string,
              c: unknown,
            ) => Client & { ServerReflectionInfo(): ClientDuplexStream<object, object> };
          };
        };
      };
    };
    const reflect = new reflection.grpc.reflection.v1alpha.ServerReflection(
      flow.url.replace('http://', ''),
      credentials.createInsecure(),
    );
    const stream = reflect.ServerReflectionInfo();
    const answered = once(stream, 'data');
    stream.write({ listServices: '' });
    const [{ listServicesResponse }] = (await within(answered, 'reflection')) as [
      { listServicesResponse: { service: { name: string }[] } },
    ];
    assert.ok(listServicesResponse.service.some(({ name }) => name === 'jina.JinaRPC'));
    stream.end();
    reflect.close();
  });

  test('a deadline that passes is DEADLINE_EXCEEDED', async () => {
    const { path, requestSerialize, responseDeserialize } = method(
      'jina.JinaSingleDataRequestRPC',
      'process_single_data',
    );
    const texts = Array.from({ length: 3000 }, (_, i) => `text ${i}`);
    const failed = new Promise<ServiceError | null>((resolve) => {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request('late', texts),
        { deadline: Date.now() + 150 },
        (error) => resolve(error),
      );
    });
    assert.equal((await failed)?.code, 4);
  });

  test('SIGTERM: streams under way are answered, idle connections closed', async () => {
    const other = await FlowProcess.start();
    const [busy, idle] = [connect(other), connect(other)];
    // A stream that its caller never ends.
    const forgotten = openStream(idle);
    const cut = once(forgotten, 'error') as Promise<[ServiceError]>;
    forgotten.write(request('forgotten', ['a red circle']));
    await within(once(forgotten, 'data'), 'the answer to the forgotten stream');
    await unary(idle, 'jina.JinaGatewayDryRunRPC', 'dry_run', {});
    const stream = openStream(busy);
    const answers: Answer[] = [];
    stream.on('data', (answer: Answer) => answers.push(answer));
    const ended = once(stream, 'end');
    for (let i = 0; i < 20; i++)
      stream.write(
        request(
          `r${i}`,
          Array.from({ length: 32 }, (_, k) => `text ${i} ${k}`),
        ),
      );
    stream.end();
    await within(once(stream, 'data'), 'the first answer');
    const code = other.stop();
    await within(ended, 'the stream to end');
    assert.equal(answers.length, 20);
    assert.equal((await within(cut, 'the forgotten stream to end'))[0].code, 14);
    assert.equal(await code, 0);
    busy.close();
    idle.close();
  });
});
