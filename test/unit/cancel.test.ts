import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { abortSignalOf, Cancellation, type CancelSignal } from '../../src/cancel.js';

/** What an AbortSignal does, a Cancellation does. */
const kinds: Record<string, () => { signal: CancelSignal; abort: () => void }> = {
  AbortController: () => {
    const controller = new AbortController();
    return { signal: controller.signal, abort: () => controller.abort() };
  },
  Cancellation: () => {
    const cancellation = new Cancellation();
    return { signal: cancellation, abort: () => cancellation.abort() };
  },
};

for (const [kind, make] of Object.entries(kinds)) {
  describe(kind, () => {
    it('calls who listens, once and in order, and says so before', () => {
      const { signal, abort } = make();
      const heard: string[] = [];
      for (const name of ['a', 'b']) signal.addEventListener('abort', () => heard.push(`${name} ${signal.aborted}`));
      assert.equal(signal.aborted, false);
      abort();
      abort();
      assert.deepEqual(heard, ['a true', 'b true']);
      assert.equal(signal.aborted, true);
    });

    it('calls a listener that was added twice once, and one that left not at all', () => {
      const { signal, abort } = make();
      const heard: string[] = [];
      const stays = (): void => void heard.push('stays');
      const leaves = (): void => void heard.push('leaves');
      for (const listener of [stays, leaves, stays]) signal.addEventListener('abort', listener, { once: true });
      signal.removeEventListener('abort', leaves);
      abort();
      assert.deepEqual(heard, ['stays']);
    });

    it('does not call who comes after', () => {
      const { signal, abort } = make();
      abort();
      signal.addEventListener('abort', () => assert.fail('called'));
      abort();
    });

    it('has an AbortSignal that aborts with it, before and after', () => {
      const { signal, abort } = make();
      const real = abortSignalOf(signal);
      assert.ok(real instanceof AbortSignal);
      assert.equal(real.aborted, false);
      abort();
      assert.equal(real.aborted, true);
      assert.equal(abortSignalOf(signal).aborted, true);
    });
  });
}
