import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FlowProcess, ROOT } from '../support/flow-process.js';
import { END, GrpcClient, replayHttp, webSocketCall } from '../support/wire-clients.js';
import { fixture, fixtureNames, httpBody, oracleDecode, REQUEST } from '../unit/document/support.js';
import { DELIBERATE, differences, unexpected } from './differences.js';

/** The peer's executor has this name in its routes. */
const FLOW = `
jtype: Flow
executors:
  - { name: clip_o, uses: CLIPEncoder, uses_with: { device: cpu } }
`;

interface Exchange {
  name: string;
  requests: Uint8Array[];
  responses: Uint8Array[];
}

/** `down` was recorded with a dead model process, and `unknown-conn3` is a dry run, which the Python client tests. */
const NOT_REPLAYED = ['down', 'unknown-conn3'];

const EXCHANGES: Exchange[] = [
  ...new Set(fixtureNames('wire', /\.request\.\d\.bin$/).map((file) => file.split('.')[0] ?? '')),
]
  .filter((name) => !NOT_REPLAYED.includes(name))
  .map((name) => ({ name, requests: messages(name, 'request'), responses: messages(name, 'response') }));

function messages(name: string, kind: string): Uint8Array[] {
  const files = fixtureNames('wire', new RegExp(`^${name}\\.${kind}\\.\\d\\.bin$`));
  return files.sort().map((file) => fixture(`wire/${file}`));
}

/** The order of a query's matches depends on the model: that they are sorted is asserted where scores are. */
function matchesById(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, field: unknown) =>
    key === 'matches' && Array.isArray(field)
      ? [...(field as { id: string }[])].sort((a, b) => a.id.localeCompare(b.id))
      : field,
  );
}

describe('recorded exchanges of CLIP-as-service, replayed', () => {
  let flow: FlowProcess;
  let port: number;
  const seen: string[] = [];

  before(async () => {
    flow = await FlowProcess.start({ text: FLOW });
    port = Number(new URL(flow.url).port);
  });
  after(async () => {
    assert.equal(await flow.stop(), 0);
  });

  function assertAlike(theirs: unknown, ours: unknown): void {
    const [left, right] = [matchesById(theirs), matchesById(ours)];
    assert.deepEqual(unexpected(left, right), []);
    seen.push(...differences(left, right).map(({ path }) => path));
  }

  function assertAllAlike(theirs: readonly Uint8Array[], ours: readonly Uint8Array[]): void {
    assert.equal(ours.length, theirs.length);
    theirs.forEach((response, i) =>
      assertAlike(oracleDecode(REQUEST, response), oracleDecode(REQUEST, ours[i] ?? new Uint8Array())),
    );
  }

  for (const { name, requests, responses } of EXCHANGES) {
    test(`gRPC: ${name}`, async () => {
      using client = new GrpcClient(port);
      const [request = new Uint8Array()] = requests;
      const end =
        name === 'unary'
          ? await client.unary('/jina.JinaSingleDataRequestRPC/process_single_data', request)
          : await client.stream(requests);
      assert.equal(end.code, 0, end.details);
      assertAllAlike(responses, end.messages);
    });

    test(`WebSocket: ${name}`, async () => {
      const { frames, code } = await webSocketCall(port, [...requests, END]);
      assert.equal(code, 1000);
      assertAllAlike(responses, frames);
    });
  }

  for (const file of fixtureNames('wire/http', /\.request\.txt$/)) {
    test(`HTTP: ${file.replace('.request.txt', '')}`, async () => {
      const recorded = readFileSync(join(ROOT, 'test/fixtures/wire/http', file), 'utf8');
      const { status, body } = await replayHttp(port, recorded);
      assert.equal(status, 200);
      assertAlike(httpBody(file.replace('request', 'response')), body);
      const sent = httpBody(file) as { header: { request_id: string } };
      assert.equal((body as { header: { requestId: string } }).header.requestId, sent.header.request_id);
    });
  }

  test('HTTP: the endpoints that the client looks for in openapi.json are the published ones', async () => {
    const published = JSON.parse(Buffer.from(fixture('wire/http/openapi.json')).toString()) as Paths;
    const ours = (await (await fetch(`${flow.url}/openapi.json`)).json()) as Paths;
    const posts = ({ paths }: Paths): string[] => Object.keys(paths).filter((path) => paths[path]?.post);
    for (const path of posts(published)) assert.ok(posts(ours).includes(path), path);
  });

  test('each deliberate difference was met', () => {
    for (const { path, reason } of DELIBERATE)
      assert.ok(
        seen.some((one) => path.test(one)),
        reason,
      );
  });
});

interface Paths {
  paths: Record<string, { post?: unknown }>;
}
