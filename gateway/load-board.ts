import { z } from 'zod';
import type { ExecutorLoad } from '../src/autoscale/load.js';
import type { Transport } from '../src/transport/transport.js';

const TELL_MS = 1000;
/** A gateway that has not told for so long is gone, and its queue with it. */
const STALE_MS = 5000;

const Told = z.object({
  loads: z.array(
    z.object({
      executor: z.string(),
      queued: z.number().nonnegative(),
      running: z.number().nonnegative(),
      queueAge: z.number().nonnegative(),
      // A gateway of an older version does not tell these.
      busy: z.number().nonnegative().default(0),
      done: z.number().nonnegative().default(0),
    }),
  ),
});

/** What each executor has to do for all gateways of the flow, as they tell each other. */
export class LoadBoard {
  #others = new Map<string, { loads: readonly ExecutorLoad[]; at: number }>();
  #timer: NodeJS.Timeout;

  constructor(
    transport: Transport,
    private readonly own: () => ExecutorLoad[],
  ) {
    const tell = transport.meet((gateway, data) => {
      const told = Told.safeParse(data);
      if (told.success) this.#others.set(gateway, { loads: told.data.loads, at: performance.now() });
    });
    this.#timer = setInterval(() => tell({ loads: this.own().map((load) => ({ ...load })) }), TELL_MS).unref();
  }

  /** One for each executor of the flow. */
  totals(): ExecutorLoad[] {
    for (const [gateway, { at }] of this.#others) {
      if (performance.now() - at > STALE_MS) this.#others.delete(gateway);
    }
    const others = [...this.#others.values()].flatMap(({ loads }) => loads);
    return this.own().map((load) =>
      others
        .filter(({ executor }) => executor === load.executor)
        .reduce(
          (sum, other) => ({
            executor: sum.executor,
            queued: sum.queued + other.queued,
            running: sum.running + other.running,
            queueAge: Math.max(sum.queueAge, other.queueAge),
            busy: sum.busy + other.busy,
            done: sum.done + other.done,
          }),
          load,
        ),
    );
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
