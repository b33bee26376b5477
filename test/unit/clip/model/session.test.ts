import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { ClipflowError } from '../../../../src/errors.js';
import { activeProviders } from '../../../../executors/clip/model/device.js';
import { imageFeeds, imageSample, textFeeds } from '../../../../executors/clip/model/feeds.js';
import { SessionThread } from '../../../../executors/clip/model/session-thread.js';
import { createSession, type Session } from '../../../../executors/clip/model/session.js';
import { CONTEXT, fixture, openSession, referenceIds, silent, tinyClip, vitB32 } from './support.js';

const textual = join(tinyClip, 'textual.onnx');
const visual = join(tinyClip, 'visual.onnx');

const pixels = (session: Session, images: number, size = 64) =>
  session.allocate('float32', images * 3 * size * size).map((_, i) => Math.sin(i));

describe('a session', () => {
  test('gives what ONNX Runtime gives in this thread', async (t) => {
    const session = await openSession(t, { path: visual });
    const batch = pixels(session, 3);
    const direct = await InferenceSession.create(visual, { intraOpNumThreads: 2 });
    const { output } = await direct.run({ pixel_values: new Tensor('float32', batch.slice(), [3, 3, 64, 64]) });
    await direct.release();
    const { dims, data } = await session.run(imageFeeds(session, batch, 64));
    assert.deepEqual(dims, [3, 512]);
    assert.deepEqual(data, output?.data);
    assert.deepEqual(session.providers, ['cpu']);
  });

  test('two side by side, several runs posted at once', async (t) => {
    const [texts, images] = await Promise.all([openSession(t, { path: textual }), openSession(t, { path: visual })]);
    const order: string[] = [];
    const run = async (name: string, result: Promise<{ dims: number[] }>) => {
      const { dims } = await result;
      order.push(name);
      return dims[0];
    };
    const feeds = (count: number) => textFeeds(texts, referenceIds.slice(0, count), CONTEXT, 0);
    const counts = await Promise.all([
      run('text 1', texts.run(feeds(8))),
      run('text 2', texts.run(feeds(1))),
      run('text 3', texts.run(feeds(2))),
      run('image', images.run(imageFeeds(images, pixels(images, 2), 64))),
    ]);
    assert.deepEqual(counts, [8, 1, 2, 2]);
    assert.deepEqual(
      order.filter((name) => name !== 'image'),
      ['text 1', 'text 2', 'text 3'],
    );
  });

  test('moves buffers: the feeds are emptied, their buffers come back', async (t) => {
    const session = await openSession(t, { path: visual });
    const batch = pixels(session, 2);
    const bytes = batch.byteLength;
    const { data } = await session.run(imageFeeds(session, batch, 64));
    assert.equal(batch.length, 0);
    assert.equal(data.buffer.byteLength, 2 * 512 * 4);
    const reused = session.allocate('float32', 10);
    assert.equal(reused.buffer.byteLength, bytes);
  });

  test('a run that fails leaves the next one alone', async (t) => {
    const session = await openSession(t, { path: textual });
    const wrong = session.run({
      input_ids: { type: 'int32', dims: [1, 5], data: new Int32Array(5) },
      attention_mask: { type: 'int32', dims: [1, 5], data: new Int32Array(5) },
    });
    const missing = session.run({});
    const good = session.run(textFeeds(session, referenceIds, CONTEXT, 0));
    await assert.rejects(wrong, { code: 'EXECUTOR_FAILED', message: /input_ids/ });
    await assert.rejects(missing, { code: 'EXECUTOR_FAILED', message: /'input_ids' is missing/ });
    assert.deepEqual((await good).dims, [8, 512]);
  });

  test('close lets posted runs finish, and refuses more', async () => {
    const session = await createSession({
      path: visual,
      device: 'cpu',
      intraOpNumThreads: 2,
      sample: imageSample(64),
      log: silent,
      onExit: () => assert.fail('closing is no loss'),
    });
    const posted = session.run(imageFeeds(session, pixels(session, 8), 64));
    const closed = session.close();
    await assert.rejects(session.run({}), { code: 'UNAVAILABLE' });
    assert.deepEqual((await posted).dims, [8, 512]);
    await closed;
    await session.close();
    assert.deepEqual(
      process.getActiveResourcesInfo().filter((name) => name === 'Worker' || name === 'MessagePort'),
      [],
    );
  });

  test('is warm with the memory of two batches: one that runs, one that is prepared', async (t) => {
    const sample = (own: Session, images: number) => imageFeeds(own, pixels(own, images).fill(7), 64);
    const session = await openSession(t, { path: visual, sample });
    await session.warmUp([1, 2]);
    const [running, prepared, third] = [1, 2, 3].map(() => session.allocate('float32', 2 * 3 * 64 * 64));
    assert.deepEqual([running?.[0], prepared?.[0]], [7, 7], 'what was left over from the warm-up');
    assert.equal(third?.[0], 0, 'new');
  });

  test('a worker that ends is reported', async (t) => {
    const created = once(process, 'worker') as Promise<[Worker]>;
    let report: (error: ClipflowError) => void = () => {};
    const lost = new Promise<ClipflowError>((resolve) => (report = resolve));
    const session = await openSession(t, { path: visual, onExit: report });
    const [worker] = await created;
    // Before the worker turns to it, and so without aborting ONNX Runtime in the middle of a run.
    const run = session.run({});
    void worker.terminate();
    await assert.rejects(run, { code: /REPLICA_LOST|EXECUTOR_FAILED/ });
    assert.equal((await lost).code, 'REPLICA_LOST');
    await assert.rejects(session.run({}), { code: 'REPLICA_LOST' });
  });

  test('loading and computing leave this thread answerable', async (t) => {
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const start = performance.now();
    const session = await openSession(t, { path: join(vitB32, 'visual.onnx'), sample: imageSample(224) });
    await session.warmUp([4]);
    delay.disable();
    const elapsed = performance.now() - start;
    assert.ok(elapsed > 300, `too fast to tell: ${elapsed} ms`);
    assert.ok(delay.max / 1e6 < elapsed / 4, `stood still for ${delay.max / 1e6} of ${elapsed} ms`);
  });
});

describe('devices', () => {
  test('cuda that cannot be had is an error', async (t) => {
    await assert.rejects(openSession(t, { path: textual, device: 'cuda' }), {
      code: 'DEVICE_UNAVAILABLE',
      message: /'cuda' cannot be had here: .*npm rebuild onnxruntime-node/,
    });
    await assert.rejects(openSession(t, { path: textual, device: 'tensorrt' }), { code: 'DEVICE_UNAVAILABLE' });
  });

  test('auto computes on the CPU where CUDA is not installed', async (t) => {
    const session = await openSession(t, { path: textual, device: 'auto' });
    assert.deepEqual(session.providers, ['cpu']);
  });

  test('an unknown device', async (t) => {
    await assert.rejects(openSession(t, { path: textual, device: 'gpu' }), {
      code: 'INVALID_CONFIG',
      message: /'gpu'; expected one of cpu, cuda, tensorrt, auto/,
    });
  });

  test('the trace tells which provider computed', async () => {
    const thread = new SessionThread(
      () => {},
      (error) => assert.fail(error),
    );
    const { inputs } = await thread.call('load', {
      path: fixture('text-int64.onnx'),
      provider: 'cpu',
      deviceId: 0,
      intraOpNumThreads: 1,
      trace: true,
    });
    assert.deepEqual(inputs, [{ name: 'input_ids', type: 'int64', shape: ['batch', 'length'] }]);
    await thread.call('run', { input_ids: { type: 'int64', dims: [1, 2], data: BigInt64Array.of(1n, 2n) } });
    assert.deepEqual(await thread.call('trace', null), ['cpu']);
    await thread.close();
  });

  test('of several providers in a trace the busiest comes first', () => {
    const node = (provider: string) => ({ cat: 'Node', args: { provider } });
    const trace = [{ cat: 'Session', args: {} }, node('CPUExecutionProvider'), node('CUDAExecutionProvider')];
    assert.deepEqual(activeProviders([...trace, node('CUDAExecutionProvider')]), ['cuda', 'cpu']);
    assert.deepEqual(activeProviders([]), []);
  });
});

describe('a file that is no model', () => {
  for (const [name, path] of [
    ['corrupt', join(tinyClip, 'config.json')],
    ['missing', join(tinyClip, 'nothing.onnx')],
  ] as const) {
    test(name, async (t) => {
      await assert.rejects(openSession(t, { path }), { code: 'INVALID_MODEL', message: new RegExp(path) });
    });
  }
});
