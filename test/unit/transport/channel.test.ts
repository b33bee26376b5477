import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, mock, test } from 'node:test';
import fc from 'fast-check';
import { ClipflowError } from '../../../src/errors.js';
import { frameHead, FrameType, parseFrame } from '../../../src/transport/frame.js';
import type { Message } from '../../../src/transport/transport.js';
import { ChannelPair, messageOf } from './channel-pair.js';

const MIB = 2 ** 20;
/** Payload that may be under way unacknowledged, and the frame that crosses the line. */
const WINDOW = 8 * MIB;
const GONE = new ClipflowError('REPLICA_LOST', 'the other side is gone');

const plain = ({ header, parts }: Message) => ({ header, parts: parts.map((part) => [...part]) });

describe('calls', () => {
  test('are answered each with its own answer, in both directions, however frames interleave', async () => {
    const call = fc.record({ fromA: fc.boolean(), sizes: fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 3 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(call, { maxLength: 12 }),
        fc.integer({ min: 9, max: 60 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }),
        async (calls, maxFrame, order) => {
          const pair = new ChannelPair({ maxFrame });
          const answers = calls.map(({ fromA, sizes }, index) => {
            const message = { header: { index }, parts: sizes.map((size) => new Uint8Array(size).fill(index)) };
            return (fromA ? pair.a : pair.b).call(message).then((answer) => {
              assert.deepEqual(plain(answer), plain(message));
            });
          });
          for (let i = 0; pair.toA.frames.length + pair.toB.frames.length > 0; i++) {
            for (const frame of [...pair.toA.frames, ...pair.toB.frames]) assert.ok(frame.length <= maxFrame);
            const side = order[i % order.length] ? 'a' : 'b';
            if (!pair.deliverTo(side)) pair.deliverTo(side === 'a' ? 'b' : 'a');
            if (i % 5 === 0) await turn();
          }
          await pair.settle();
          await Promise.all(answers);
          pair.a.close(GONE);
          pair.b.close(GONE);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('fail with the names of both versions when the other side speaks another; the channel is closed', async () => {
    const pair = new ChannelPair();
    const answer = assert.rejects(pair.a.call(messageOf(1)), {
      code: 'TRANSPORT_FAILED',
      message: /version 2 of the transport's envelope, this side speaks 1:/,
    });
    pair.a.receive(Buffer.from([2, FrameType.pong, 0, 0, 0, 0, 0, 0]));
    await answer;
    await assert.rejects(pair.a.call(messageOf(1)), { code: 'TRANSPORT_FAILED' });
    pair.b.close(GONE);
  });

  test('fail with the code that the handler threw; what is no ClipflowError is INTERNAL', async () => {
    for (const [thrown, code] of [
      [new ClipflowError('UNKNOWN_MODEL', 'no such'), 'UNKNOWN_MODEL'],
      [new Error('no such'), 'INTERNAL'],
    ] as const) {
      const pair = new ChannelPair({ handler: () => Promise.reject(thrown) });
      const answer = assert.rejects(pair.a.call(messageOf(1)), { code, message: 'no such' });
      await pair.settle();
      await answer;
    }
  });

  test('with an answer that cannot be read fail, and nothing else does', async () => {
    const pair = new ChannelPair();
    const broken = assert.rejects(pair.a.call(messageOf(1)), { code: 'INTERNAL' });
    const other = pair.a.call(messageOf(2, { ok: true }));
    pair.a.receive(Buffer.concat([frameHead(FrameType.reply, 1, true), Buffer.from('no message')]));
    await pair.settle();
    await broken;
    assert.deepEqual((await other).header, { ok: true });
  });
});

describe('flow control', () => {
  test('no more than the window is under way to a receiver that does not read, whatever waits', async () => {
    const pair = new ChannelPair({ maxFrame: 256 * 1024 });
    const answers = [pair.a.call(messageOf(20 * MIB)), pair.a.call(messageOf(5 * MIB))];
    let most = 0;
    const watch = (): void => {
      most = Math.max(most, pair.toB.payload, pair.toA.payload);
    };
    watch();
    assert.ok(pair.toB.payload >= WINDOW, 'the window is used');
    const before = pair.toB.frames.length;
    await turn();
    assert.equal(pair.toB.frames.length, before, 'and then the sender waits');
    while (pair.deliverTo('b') || pair.deliverTo('a')) watch();
    await turn();
    watch();
    await pair.settle();
    assert.deepEqual(
      (await Promise.all(answers)).map(({ parts }) => parts[0]?.byteLength),
      [20 * MIB, 5 * MIB],
    );
    assert.ok(most <= WINDOW + 256 * 1024, `${most} bytes under way`);
  });

  test('a short call does not wait for a long one', () => {
    const pair = new ChannelPair({ maxFrame: 64 * 1024 });
    void pair.a.call(messageOf(20 * MIB)).catch(() => {});
    void pair.a.call(messageOf(10)).catch(() => {});
    // The window is full of the long call; as soon as the receiver has read some, the short one is among the next two.
    while (pair.toA.frames.length === 0) pair.deliverTo('b');
    const sent = pair.toB.frames.length;
    pair.deliverTo('a');
    const ids = pair.toB.frames.slice(sent).map((frame) => parseFrame(frame)?.id);
    assert.ok(ids.slice(0, 2).includes(2), `ids ${ids.slice(0, 4).join()}`);
    pair.a.close(GONE);
    pair.b.close(GONE);
  });

  test('two long calls take turns', () => {
    const pair = new ChannelPair({ maxFrame: 1024 });
    for (let i = 0; i < 2; i++) void pair.a.call(messageOf(10 * MIB)).catch(() => {});
    while (pair.toA.frames.length === 0) pair.deliverTo('b');
    const sent = pair.toB.frames.length;
    pair.deliverTo('a');
    const ids = pair.toB.frames.slice(sent, sent + 10).map((frame) => parseFrame(frame)?.id);
    assert.deepEqual([...new Set(ids)].sort(), [1, 2]);
    assert.ok(
      ids.every((id, index) => id !== ids[index + 1]),
      ids.join(),
    );
    pair.a.close(GONE);
    pair.b.close(GONE);
  });
});

describe('a call that is given up', () => {
  test('while it is sent: the rest stays unsent, the handler never sees it, and its window comes back', async () => {
    let handled = 0;
    const pair = new ChannelPair({
      handler: async (message) => {
        handled += 1;
        return message;
      },
    });
    for (let i = 0; i < 5; i++) {
      const controller = new AbortController();
      const answer = assert.rejects(pair.a.call(messageOf(20 * MIB), { signal: controller.signal }), {
        code: 'CANCELLED',
      });
      for (let frame = 0; frame < 3; frame++) pair.deliverTo('b');
      controller.abort();
      await answer;
      assert.ok(pair.toB.payload <= WINDOW + 64 * 1024);
      await pair.settle();
    }
    assert.equal(handled, 0);
    const answer = pair.a.call(messageOf(9 * MIB));
    await pair.settle();
    assert.equal((await answer).parts[0]?.byteLength, 9 * MIB);
  });

  test('while it is handled: the handler’s signal aborts, and its answer is not sent', async () => {
    let aborted = false;
    let finish = (): void => {};
    const pair = new ChannelPair({
      handler: async (message, signal) => {
        signal.addEventListener('abort', () => (aborted = true));
        await new Promise<void>((resolve) => (finish = resolve));
        return message;
      },
    });
    const controller = new AbortController();
    const answer = assert.rejects(pair.a.call(messageOf(1), { signal: controller.signal }), { code: 'CANCELLED' });
    await pair.settle();
    controller.abort();
    await answer;
    await pair.settle();
    assert.equal(aborted, true);
    finish();
    await turn();
    assert.deepEqual(pair.toA.frames, []);
  });

  test('before it began is never sent', async () => {
    const pair = new ChannelPair();
    await assert.rejects(pair.a.call(messageOf(1), { signal: AbortSignal.abort() }), { code: 'CANCELLED' });
    assert.deepEqual(pair.toB.frames, []);
  });

  test('after it was answered tells nobody', async () => {
    const pair = new ChannelPair();
    const controller = new AbortController();
    const answer = pair.a.call(messageOf(1), { signal: controller.signal });
    await pair.settle();
    await answer;
    controller.abort();
    assert.deepEqual(pair.toB.frames, []);
  });

  test('by its time limit: DEADLINE_EXCEEDED, and the other side stops', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      let aborted = false;
      const pair = new ChannelPair({
        handler: (_message, signal) => {
          signal.addEventListener('abort', () => (aborted = true));
          return new Promise(() => {});
        },
      });
      const answer = assert.rejects(pair.a.call(messageOf(1), { timeoutMs: 100 }), { code: 'DEADLINE_EXCEEDED' });
      await pair.settle();
      mock.timers.tick(100);
      await answer;
      await pair.settle();
      assert.equal(aborted, true);
    } finally {
      mock.timers.reset();
    }
  });
});

describe('close', () => {
  test('rejects the calls under way and every later one with its reason, and aborts what is handled', async () => {
    let aborted = false;
    const pair = new ChannelPair({
      handler: (_message, signal) => {
        signal.addEventListener('abort', () => (aborted = true));
        return new Promise(() => {});
      },
    });
    const answer = assert.rejects(pair.a.call(messageOf(1)), GONE);
    await pair.settle();
    pair.a.close(GONE);
    await answer;
    await assert.rejects(pair.a.call(messageOf(1)), GONE);
    pair.b.close(GONE);
    assert.equal(aborted, true);
  });

  test('is deaf and dumb afterwards', async () => {
    const pair = new ChannelPair();
    void pair.a.call(messageOf(1)).catch(() => {});
    pair.b.close(GONE);
    await pair.settle();
    pair.b.sendInfo({});
    assert.deepEqual(pair.toA.frames, []);
    pair.a.close(GONE);
  });
});

describe('idle', () => {
  test('waits for the handler, and until the link has taken the whole answer', async () => {
    let finish = (): void => {};
    const pair = new ChannelPair({
      handler: async () => {
        await new Promise<void>((resolve) => (finish = resolve));
        return messageOf(10 * MIB);
      },
    });
    const answer = pair.a.call(messageOf(1));
    await pair.settle();
    let idle = false;
    void pair.b.idle().then(() => (idle = true));
    finish();
    await turn();
    assert.equal(idle, false, 'the window holds the rest of the answer back');
    await pair.settle();
    assert.equal(idle, true);
    assert.equal((await answer).parts[0]?.byteLength, 10 * MIB);
    await pair.b.idle();
  });

  test('is over when the channel closes', async () => {
    const pair = new ChannelPair({ handler: () => new Promise(() => {}) });
    void pair.a.call(messageOf(1)).catch(() => {});
    await pair.settle();
    const idle = pair.b.idle();
    pair.b.close(GONE);
    await idle;
    pair.a.close(GONE);
  });

  test('does not wait for a call that was given up before it was sent', async () => {
    const pair = new ChannelPair();
    const controller = new AbortController();
    const answer = assert.rejects(pair.a.call(messageOf(20 * MIB), { signal: controller.signal }));
    const idle = pair.a.idle();
    controller.abort();
    await Promise.all([answer, idle]);
  });
});

describe('a sign of life', () => {
  test('is asked for each half second; after 20 in vain the other side is dead', () => {
    mock.timers.enable({ apis: ['setInterval'] });
    try {
      let dead = 0;
      const pair = new ChannelPair({ onDead: () => (dead += 1) });
      mock.timers.tick(500 * 15);
      assert.equal(pair.toB.frames.length, 15);
      while (pair.deliverTo('b')) pair.deliverTo('a');
      mock.timers.tick(500 * 20);
      assert.equal(dead, 0, 'the answers to the first pings were heard');
      mock.timers.tick(500);
      assert.equal(dead, 1);
      pair.a.close(GONE);
      pair.b.close(GONE);
      mock.timers.tick(500 * 100);
      assert.equal(dead, 1, 'a closed channel asks no more');
    } finally {
      mock.timers.reset();
    }
  });
});

describe('frames that make no sense', () => {
  test('do no harm', async () => {
    const frame = fc.oneof(
      fc.uint8Array({ maxLength: 30 }),
      fc
        .tuple(
          fc.integer({ min: 0, max: 12 }),
          fc.integer({ min: 0, max: 3 }),
          fc.boolean(),
          fc.uint8Array({ maxLength: 12 }),
        )
        .map(([type, id, last, payload]) => Buffer.concat([frameHead(type as FrameType, id, last), payload])),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 20 }), async (frames) => {
        const pair = new ChannelPair({ onInfo: () => {} });
        void pair.a.call(messageOf(1)).catch(() => {});
        for (const bytes of frames) {
          pair.a.receive(bytes);
          pair.b.receive(bytes);
        }
        await turn();
        pair.a.close(GONE);
        pair.b.close(GONE);
      }),
      { numRuns: 300 },
    );
  });

  test('an info that is a JSON object is told, any other is not', () => {
    const told: unknown[] = [];
    const pair = new ChannelPair({ onInfo: (info) => told.push(info) });
    for (const text of ['{"a":1}', '{"a"', '[]', 'null', '""', ''])
      pair.b.receive(Buffer.concat([frameHead(FrameType.info, 0, true), Buffer.from(text)]));
    assert.deepEqual(told, [{ a: 1 }]);
  });
});
