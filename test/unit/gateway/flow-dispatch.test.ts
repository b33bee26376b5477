import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pino } from 'pino';
import { FlowDispatch, type FlowRequest } from '../../../gateway/dispatch/flow-dispatch.js';
import { GatewayMetrics } from '../../../gateway/metrics.js';
import type { Outcome } from '../../../src/call.js';
import { Document, type DocumentInit } from '../../../src/document/document.js';
import { toClipflowError } from '../../../src/errors.js';
import { loadFlow } from '../../../src/flow/load.js';
import type { ReplicaInfo } from '../../../src/transport/transport.js';
import { FakeDirectory, FakeReplica } from './fake-replica.js';

/** What a fake executor does to a document: changes it, or throws. */
type Change = (doc: Document, info: ReplicaInfo) => void;

/** A flow with a fake replica for each executor and shard. */
class TestFlow {
  readonly directory = new FakeDirectory();
  readonly dispatch: FlowDispatch;
  /** Executor, shard and ids of each batch that was sent. */
  readonly sent: string[] = [];

  constructor(executors: string, limits = '{}') {
    const flow = loadFlow({ text: `with: {limits: ${limits}}\nexecutors:\n${executors}` }, {});
    this.dispatch = new FlowDispatch(flow, this.directory, new GatewayMetrics(), pino({ level: 'silent' }));
  }

  serve(executor: string, change: Change, info: Partial<ReplicaInfo> = {}): FakeReplica {
    const replica = new FakeReplica({ executor, batchSize: 100, ...info }, (call) => {
      const docs = call.docs.map((doc) => Document.fromBytes(doc));
      this.sent.push(`${executor}/${info.shard ?? 0} ${docs.map(({ id }) => id).join(',')}`);
      const outcomes = docs.map((doc): Outcome => {
        try {
          change(doc, replica.info);
          return { doc: doc.toBytes() };
        } catch (thrown) {
          return { error: toClipflowError(thrown, 'EXECUTOR_FAILED').toJSON() };
        }
      });
      queueMicrotask(() => call.answer(outcomes));
    });
    this.directory.join(replica);
    return replica;
  }

  post(docs: readonly DocumentInit[], request: Partial<FlowRequest> = {}) {
    const bytes = docs.map((doc) => new Document(doc).toBytes());
    return this.dispatch.post({ endpoint: '/', parameters: {}, docs: bytes, ...request });
  }

  async texts(docs: readonly DocumentInit[], request: Partial<FlowRequest> = {}): Promise<string[]> {
    const { outcomes } = await this.post(docs, request);
    return outcomes.map((outcome) =>
      'doc' in outcome ? (Document.fromBytes(outcome.doc).text ?? '') : outcome.error.code,
    );
  }
}

const append =
  (suffix: string): Change =>
  (doc) => {
    doc.text = `${doc.text ?? ''}${suffix}`;
  };
const tag =
  (name: string): Change =>
  (doc) => {
    doc.tags = { ...doc.tags, [name]: true };
  };
const failOn =
  (id: string, otherwise: Change): Change =>
  (doc, info) => {
    if (doc.id === id) throw new Error(`no ${id}`);
    otherwise(doc, info);
  };

describe('a pipeline', () => {
  test('gives each executor what the one before it answered, and tells the route', async () => {
    const flow = new TestFlow('- {name: a, uses: x}\n- {name: b, uses: x}');
    flow.serve('a', append('>a'));
    flow.serve('b', append('>b'));
    const docs = [
      { id: '1', text: 'one' },
      { id: '2', text: 'two' },
    ];
    assert.deepEqual(await flow.texts(docs), ['one>a>b', 'two>a>b']);
    const { routes } = await flow.post(docs);
    assert.deepEqual(
      routes.map(({ executor }) => executor),
      ['gateway', 'a', 'b'],
    );
    for (const { startTime = 0, endTime = 0 } of routes) assert.ok(startTime > 0 && endTime >= startTime);
    const [{ startTime = 0, endTime = 0 } = {}] = routes;
    assert.ok(endTime - startTime >= 1, 'clip-client divides by the milliseconds of the whole');
  });

  test('a document that fails is not given on, its neighbours are', async () => {
    const flow = new TestFlow('- {name: a, uses: x}\n- {name: b, uses: x}');
    flow.serve('a', failOn('2', append('>a')));
    flow.serve('b', append('>b'));
    assert.deepEqual(await flow.texts(['1', '2', '3'].map((id) => ({ id, text: id }))), [
      '1>a>b',
      'EXECUTOR_FAILED',
      '3>a>b',
    ]);
    assert.deepEqual(flow.sent, ['a/0 1,2,3', 'b/0 1,3']);
  });

  test('no documents need no replica', async () => {
    const flow = new TestFlow('- {name: a, uses: x}');
    const { outcomes, routes } = await flow.post([]);
    assert.deepEqual(outcomes, []);
    assert.deepEqual(
      routes.map(({ executor }) => executor),
      ['gateway', 'a'],
    );
  });
});

describe('a fork', () => {
  const FORK = '- {name: a, uses: x, needs: gateway}\n- {name: b, uses: x, needs: gateway}\n';
  const JOIN = `${FORK}- {name: c, uses: x, needs: [a, b]}`;

  test('gives each branch what the caller sent, and joins what they answer', async () => {
    for (const executors of [FORK, JOIN]) {
      const flow = new TestFlow(executors);
      flow.serve('a', (doc) => (doc.tags = { from: 'a' }));
      flow.serve('b', (doc) => ([doc.weight, doc.tags] = [0.5, { from: 'b' }]));
      flow.serve('c', append(' joined'));
      const { outcomes } = await flow.post([{ id: '1', text: 'one' }]);
      const [outcome] = outcomes;
      assert.ok(outcome && 'doc' in outcome);
      const { id, text, tags, weight } = Document.fromBytes(outcome.doc);
      assert.deepEqual({ id, tags, weight }, { id: '1', tags: { from: 'a' }, weight: 0.5 });
      assert.equal(text, executors === JOIN ? 'one joined' : 'one');
    }
  });

  test('an error in one branch is the answer, and what follows the join does not see the document', async () => {
    const flow = new TestFlow(JOIN);
    flow.serve('a', append('>a'));
    flow.serve('b', failOn('2', tag('b')));
    flow.serve('c', append('>c'));
    assert.deepEqual(
      await flow.texts([
        { id: '1', text: '1' },
        { id: '2', text: '2' },
      ]),
      ['1>a>c', 'EXECUTOR_FAILED'],
    );
    assert.equal(flow.sent.at(-1), 'c/0 1');
  });

  test('`when` sends a document into the branches whose condition it meets', async () => {
    const flow = new TestFlow(
      '- {name: a, uses: x, needs: gateway, when: {tags__n: {$lt: 2}}}\n- {name: b, uses: x, needs: gateway, when: {tags__n: {$gte: 2}}}\n- {name: c, uses: x, needs: [a, b]}',
    );
    flow.serve('a', append('>a'));
    flow.serve('b', append('>b'));
    flow.serve('c', append('>c'));
    const docs = [1, 2, 3].map((n) => ({ id: String(n), text: String(n), tags: { n } }));
    assert.deepEqual(await flow.texts(docs), ['1>a>c', '2>b>c', '3>b>c']);
    assert.deepEqual(flow.sent, ['a/0 1', 'b/0 2,3', 'c/0 1,2,3']);
  });

  test('a document that meets no condition comes back as it was sent', async () => {
    const flow = new TestFlow('- {name: a, uses: x, when: {mime_type: {$eq: image/png}}}\n- {name: b, uses: x}');
    flow.serve('a', append('>a'));
    flow.serve('b', append('>b'));
    const docs = [
      { id: '1', text: '1', mimeType: 'image/png' },
      { id: '2', text: '2', mimeType: 'text/plain' },
    ];
    assert.deepEqual(await flow.texts(docs), ['1>a>b', '2']);
    assert.deepEqual(flow.sent, ['a/0 1', 'b/0 1']);
  });
});

describe('what is asked of whom', () => {
  const TWO = '- {name: clip_t, uses: x}\n- {name: ranker, uses: x}';

  test('a target executor is a pattern on the start of the name: the others pass documents on', async () => {
    for (const [targetExecutor, expected] of [
      ['ranker', '1>r'],
      ['rank', '1>r'],
      ['clip|ranker', '1>c>r'],
      ['^clip_t$', '1>c'],
      ['anker', '1'],
      ['', '1>c>r'],
    ] as const) {
      const flow = new TestFlow(TWO);
      flow.serve('clip_t', append('>c'));
      flow.serve('ranker', append('>r'));
      assert.deepEqual(await flow.texts([{ id: '1', text: '1' }], { targetExecutor }), [expected], targetExecutor);
    }
  });

  test('a target that is no pattern is refused', async () => {
    const flow = new TestFlow(TWO);
    await assert.rejects(flow.post([{ text: '1' }], { targetExecutor: 'a(' }), {
      code: 'INVALID_REQUEST',
      message: 'target_executor "a(" is no regular expression',
    });
  });

  test('an executor that does not serve the endpoint passes documents on', async () => {
    const flow = new TestFlow(TWO);
    flow.serve('clip_t', append('>c'), { endpoints: ['/encode', '/rank'] });
    flow.serve('ranker', append('>r'), { endpoints: ['/rank'] });
    assert.deepEqual(await flow.texts([{ text: '1' }], { endpoint: '/encode' }), ['1>c']);
    assert.deepEqual(await flow.texts([{ text: '1' }], { endpoint: '/rank' }), ['1>c>r']);
    await assert.rejects(flow.post([{ text: '1' }], { endpoint: '/x' }), {
      code: 'UNKNOWN_ENDPOINT',
      message: 'no executor of the flow serves "/x"; served are: /encode, /rank',
    });
  });

  test('an executor whose replicas are still starting may serve anything: its documents wait', async () => {
    const flow = new TestFlow('- {name: a, uses: x}');
    const replica = flow.serve('a', append('>a'), { state: 'starting', endpoints: [] });
    const answer = flow.texts([{ text: '1' }], { endpoint: '/encode' });
    Object.assign(replica.info, { state: 'ready', endpoints: ['/encode'] });
    flow.directory.tell(replica, 'updated');
    assert.deepEqual(await answer, ['1>a']);
  });

  test('endpoints that nobody names share a label in the metrics', () => {
    const flow = new TestFlow('- {name: a, uses: x}');
    flow.serve('a', append('>a'), { endpoints: ['/encode', '/default'] });
    assert.deepEqual(
      ['/encode', '/default', '/anything'].map((endpoint) => flow.dispatch.labelOf(endpoint)),
      ['/encode', '/default', '/default'],
    );
  });
});

describe('shards', () => {
  const shards = (polling: string) => new TestFlow(`- {name: a, uses: x, shards: 2, polling: ${polling}}`);

  function serveShards(flow: TestFlow): void {
    for (const shard of [0, 1]) {
      flow.serve('a', (doc, info) => (doc.matches = [new Document({ id: `m${info.shard}` })]), { shard });
    }
  }

  test('ANY asks one, in turn', async () => {
    const flow = shards('ANY');
    serveShards(flow);
    for (let i = 0; i < 4; i++) await flow.post([{ id: '1' }]);
    assert.deepEqual(flow.sent, ['a/0 1', 'a/1 1', 'a/0 1', 'a/1 1']);
  });

  test('ALL asks each and joins their matches; polling is by endpoint', async () => {
    const flow = shards('{/search: ALL, "*": ANY}');
    serveShards(flow);
    const { outcomes } = await flow.post([{ id: '1' }], { endpoint: '/search' });
    const [outcome] = outcomes;
    assert.ok(outcome && 'doc' in outcome);
    assert.deepEqual(
      Document.fromBytes(outcome.doc).matches.map(({ id }) => id),
      ['m0', 'm1'],
    );
    await flow.post([{ id: '2' }], { endpoint: '/index' });
    assert.deepEqual(flow.sent, ['a/0 1', 'a/1 1', 'a/0 2']);
  });

  test('the flow is ready when each shard has a ready replica', () => {
    const flow = shards('ALL');
    assert.deepEqual(flow.dispatch.notReady(), ['a']);
    const first = flow.serve('a', () => {}, { shard: 0 });
    assert.deepEqual(flow.dispatch.notReady(), ['a']);
    flow.serve('a', () => {}, { shard: 1, state: 'starting' });
    assert.deepEqual(flow.dispatch.notReady(), ['a']);
    flow.serve('a', () => {}, { shard: 1 });
    assert.deepEqual(flow.dispatch.notReady(), []);
    flow.directory.remove(first, 'lost');
    assert.deepEqual(flow.dispatch.notReady(), ['a']);
  });
});

describe('limits', () => {
  test('a full queue refuses the request as a whole; what waits is not touched', async () => {
    const flow = new TestFlow('- {name: a, uses: x}', '{queue_docs: 2}');
    const waiting = flow.post([{ id: '1' }, { id: '2' }]);
    await assert.rejects(flow.post([{ id: '3' }]), { code: 'OVERLOADED' });
    flow.serve('a', append('>a'));
    assert.equal((await waiting).outcomes.length, 2);
    assert.equal(flow.dispatch.budget.docs, 0);
  });

  test('a caller that goes away is answered with CANCELLED at every stage', async () => {
    const flow = new TestFlow('- {name: a, uses: x}\n- {name: b, uses: x}');
    const caller = new AbortController();
    flow.serve('a', () => caller.abort());
    flow.serve('b', append('>b'));
    assert.deepEqual(await flow.texts([{ text: '1' }], { signal: caller.signal }), ['CANCELLED']);
    assert.equal(flow.sent.length, 1);
  });

  test('a document that is no DocumentProto is refused with the request that holds it', async () => {
    const flow = new TestFlow('- {name: a, uses: x}');
    flow.serve('a', append('>a'));
    await assert.rejects(
      flow.dispatch.post({ endpoint: '/', parameters: {}, docs: [Buffer.from([0x0a, 0x05, 0x41])] }),
      { code: 'INVALID_DOCUMENT' },
    );
    assert.deepEqual(flow.sent, []);
  });
});
