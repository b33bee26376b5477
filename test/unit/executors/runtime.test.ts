import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pino } from 'pino';
import { decodeOutcomes, encodeCall, type Outcome } from '../../../src/call.js';
import { Document } from '../../../src/document/document.js';
import { ClipflowError } from '../../../src/errors.js';
import type { JsonObject } from '../../../src/json.js';
import { Executor, type CallContext, type ExecutorContext } from '../../../executors/executor.js';
import { ExecutorRuntime } from '../../../executors/runtime.js';

const log = pino({ level: 'silent' });
/** The runtime passes it through to nobody: executors here ignore it. */
const context = {} as ExecutorContext;

class Sample extends Executor {
  static override requests: Record<string, string> = {
    '/upper': 'upper',
    '/copy': 'copy',
    '/drop': 'drop',
    '/touchy': 'touchy',
    '/picky': 'picky',
    '/tags': 'readTags',
    '/wait': 'wait',
    '/model': 'model',
  };
  batches: string[][] = [];
  seen: CallContext | undefined;

  upper(docs: Document[], call: CallContext): void {
    this.seen = call;
    for (const doc of docs) doc.text = doc.text?.toUpperCase();
  }
  async copy(docs: Document[]): Promise<Document[]> {
    return docs.map((doc) => new Document({ id: doc.id, text: `copy of ${doc.text}` }));
  }
  drop(docs: Document[]): Document[] {
    return docs.slice(1);
  }
  touchy(docs: Document[]): void {
    this.batches.push(docs.map(({ id }) => id));
    for (const doc of docs) {
      if (doc.text === 'bad') throw new TypeError('cannot read this');
      doc.text = `${doc.text}!`;
    }
  }
  picky(docs: Document[], call: CallContext): void {
    docs.forEach((doc, index) => {
      if (doc.text === 'bad') call.fail(index, { code: 'INVALID_DOCUMENT', message: `no ${doc.id}` });
      else doc.text = `${doc.text}!`;
    });
  }
  readTags(docs: Document[]): void {
    for (const doc of docs) doc.text = JSON.stringify(doc.tags.a);
  }
  model(): void {
    throw new ClipflowError('UNKNOWN_MODEL', 'no such model');
  }
  async wait(_docs: Document[], { signal }: CallContext): Promise<void> {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    throw new ClipflowError('CANCELLED', 'stopped');
  }
}

interface Done {
  endpoint: string;
  documents: number;
  failed: number;
}

function sample(requests: Record<string, string> = Sample.requests) {
  const executor = new Sample(context);
  const done: Done[] = [];
  const observer = {
    callDone: (endpoint: string, documents: number, failed: number) => void done.push({ endpoint, documents, failed }),
  };
  const runtime = new ExecutorRuntime(executor, requests, observer, log);
  const call = async (
    endpoint: string,
    docs: readonly (string | Uint8Array)[],
    parameters: JsonObject = {},
    signal = new AbortController().signal,
  ): Promise<Outcome[]> => {
    const bytes = docs.map((doc, index) =>
      typeof doc === 'string' ? new Document({ id: String(index), text: doc }).toBytes() : doc,
    );
    const answer = await runtime.handle(encodeCall({ endpoint, parameters, docs: bytes }), signal);
    return decodeOutcomes(answer, docs.length).outcomes;
  };
  return { executor, runtime, done, call };
}

function texts(outcomes: readonly Outcome[]): unknown[] {
  return outcomes.map((outcome) => ('doc' in outcome ? Document.fromBytes(outcome.doc).text : outcome.error));
}

describe('a method', () => {
  test('changes the documents in place', async () => {
    const { call, done } = sample();
    assert.deepEqual(texts(await call('/upper', ['a', 'b'])), ['A', 'B']);
    assert.deepEqual(done, [{ endpoint: '/upper', documents: 2, failed: 0 }]);
  });

  test('or returns others', async () => {
    assert.deepEqual(texts(await sample().call('/copy', ['a', 'b'])), ['copy of a', 'copy of b']);
  });

  test('is told the endpoint, the parameters and when the caller is gone', async () => {
    const { call, executor } = sample({ '/default': 'upper' });
    const controller = new AbortController();
    await call('/any', ['a'], { k: [1] }, controller.signal);
    assert.deepEqual([executor.seen?.endpoint, executor.seen?.parameters], ['/any', { k: [1] }]);
    assert.equal(executor.seen?.signal.aborted, false);
    controller.abort();
    assert.equal(executor.seen?.signal.aborted, true);
  });

  test('may fail single documents', async () => {
    const { call, done } = sample();
    assert.deepEqual(texts(await call('/picky', ['a', 'bad', 'c'])), [
      'a!',
      { code: 'INVALID_DOCUMENT', message: 'no 1' },
      'c!',
    ]);
    assert.deepEqual(done, [{ endpoint: '/picky', documents: 3, failed: 1 }]);
  });

  test('must answer each document', async () => {
    await assert.rejects(sample().call('/drop', ['a', 'b']), {
      code: 'EXECUTOR_FAILED',
      message: 'Sample answered 1 documents to 2: return one for each, in their order',
    });
  });
});

describe('a method that throws', () => {
  test('is given each document of the batch by itself: only the one that it cannot take fails', async () => {
    const { call, executor, done } = sample();
    assert.deepEqual(texts(await call('/touchy', ['a', 'bad', 'c'])), [
      'a!',
      { code: 'EXECUTOR_FAILED', message: 'cannot read this' },
      'c!',
    ]);
    assert.deepEqual(executor.batches, [['0', '1', '2'], ['0'], ['1'], ['2']]);
    assert.deepEqual(done, [{ endpoint: '/touchy', documents: 3, failed: 1 }]);
  });

  test('at a single document is not asked twice', async () => {
    const { call, executor } = sample();
    await assert.rejects(call('/touchy', ['bad']), { code: 'EXECUTOR_FAILED' });
    assert.equal(executor.batches.length, 1);
  });

  test('an error of clipflow fails the call with it', async () => {
    await assert.rejects(sample().call('/model', ['a', 'b']), { code: 'UNKNOWN_MODEL', message: 'no such model' });
  });

  test('because the caller is gone ends with that', async () => {
    const controller = new AbortController();
    const answer = assert.rejects(sample().call('/wait', ['a', 'b'], {}, controller.signal), { code: 'CANCELLED' });
    controller.abort();
    await answer;
  });

  test('at a document whose bytes are malformed does not fail its neighbours', async () => {
    const good = new Document({ id: 'g', tags: { a: 1 } }).toBytes();
    // Field 17 (tags), whose 2 bytes are no Struct: found only when they are read.
    const bad = Buffer.concat([new Document({ id: 'b' }).toBytes(), Buffer.from([0x8a, 0x01, 0x02, 0x0a, 0x7f])]);
    const [first, second, third] = texts(await sample().call('/tags', [good, bad, good]));
    assert.deepEqual([first, third], ['1', '1']);
    assert.equal((second as { code: unknown }).code, 'INVALID_DOCUMENT');
  });
});

describe('endpoints', () => {
  test('are those of the class, overlaid by the flow', async () => {
    const { runtime, call } = sample({ ...Sample.requests, '/upper': 'copy', '/mine': 'upper' });
    assert.deepEqual(runtime.endpoints, [...Object.keys(Sample.requests), '/mine']);
    assert.deepEqual(texts(await call('/upper', ['a'])), ['copy of a']);
    assert.deepEqual(texts(await call('/mine', ['a'])), ['A']);
  });

  test('that nobody serves are refused, unless there is a /default', async () => {
    await assert.rejects(sample().call('/none', ['a']), {
      code: 'UNKNOWN_ENDPOINT',
      message: 'Sample does not serve "/none"',
    });
    assert.deepEqual(texts(await sample({ '/default': 'upper' }).call('/none', ['a'])), ['A']);
  });

  test('whose method is missing are found at the start', () => {
    assert.throws(() => sample({ '/x': 'nothing' }), {
      code: 'INVALID_FLOW',
      message: 'Sample serves "/x" by its method "nothing", which it does not have',
    });
  });
});
