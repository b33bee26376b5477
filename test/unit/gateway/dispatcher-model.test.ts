import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dispatcherWith, joined, shown, type Setup } from './dispatch-support.js';
import { settled, type FakeReplica, type HeldCall } from './fake-replica.js';

/** What the test knows of one document. */
interface Known {
  label: string;
  lane: string;
  cancelled: boolean;
  /** Replicas that died while they held it. */
  deaths: number;
}

interface Submission {
  docs: Known[];
  controller: AbortController;
  /** Undefined until it is answered. */
  outcomes: string[] | undefined;
}

type Step =
  | { do: 'submit'; lane: number; kinds: number[] }
  | { do: 'answer' | 'die' | 'break' | 'drain' | 'abort'; pick: number }
  | { do: 'join'; batchSize: number; credit: number };

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('submit' as const),
      lane: fc.integer({ min: 0, max: 2 }),
      kinds: fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 7 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('answer' as const), pick: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      batchSize: fc.integer({ min: 1, max: 5 }),
      credit: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('die', 'break', 'drain', 'abort'), pick: fc.nat() }),
  },
);

/** A gateway's dispatcher, its replicas and its callers, and what must hold whatever they do. */
class World {
  readonly #setup: Setup;
  readonly #docs = new Map<string, Known>();
  #submissions: Submission[] = [];
  #replicas: FakeReplica[] = [];

  constructor(private readonly retries: number) {
    this.#setup = dispatcherWith({ retries });
  }

  async take(step: Step): Promise<void> {
    if (step.do === 'submit') this.#submit(step.lane, step.kinds);
    else if (step.do === 'join') this.#join(step.batchSize, step.credit);
    else if (step.do === 'abort') this.#abort(pickOf(this.#open(), step.pick));
    else if (step.do === 'answer') pickOf(this.#held(), step.pick)?.answer();
    else this.#change(pickOf(this.#replicas, step.pick), step.do);
    await settled();
  }

  /** Answers all that is left, then looks at what each caller got. */
  async finish(): Promise<void> {
    this.#join(3, 2);
    await settled();
    while (this.#held().length > 0) {
      for (const call of this.#held()) call.answer();
      await settled();
    }
    assert.equal(this.#open().length, 0, 'every document is answered');
    for (const { docs, outcomes } of this.#submissions) {
      assert.equal(outcomes?.length, docs.length);
      docs.forEach((doc, index) => this.#checkOutcome(doc, outcomes[index]));
    }
  }

  #submit(lane: number, kinds: number[]): void {
    const controller = new AbortController();
    const docs = kinds.map((kind, index): Known => {
      const name = `lane ${lane} kind ${kind}`;
      return { label: `${this.#submissions.length}.${index}`, lane: name, cancelled: false, deaths: 0 };
    });
    for (const doc of docs) this.#docs.set(doc.label, doc);
    const submission: Submission = { docs, controller, outcomes: undefined };
    this.#submissions.push(submission);
    const work = docs.map(({ label, lane: kind }) => ({ doc: Buffer.from(label), kind }));
    const options = { endpoint: `/lane${lane % 2}`, parameters: { lane }, signal: controller.signal };
    void this.#setup.dispatcher.submit(work, options).then((outcomes) => {
      assert.equal(submission.outcomes, undefined, 'answered once');
      submission.outcomes = shown(outcomes);
    });
  }

  #join(batchSize: number, credit: number): void {
    const taken = (call: HeldCall, replica: FakeReplica): void => this.#checkCall(call, replica);
    this.#replicas.push(joined(this.#setup.dispatcher, { batchSize, credit }, taken));
  }

  #abort(submission: Submission | undefined): void {
    for (const doc of submission?.docs ?? []) doc.cancelled = true;
    submission?.controller.abort();
  }

  #change(replica: FakeReplica | undefined, what: 'die' | 'break' | 'drain'): void {
    if (!replica) return;
    const { dispatcher } = this.#setup;
    if (what === 'drain') {
      replica.info.state = 'draining';
      dispatcher.replicaChanged(replica);
      return;
    }
    this.#replicas = this.#replicas.filter((one) => one !== replica);
    dispatcher.replicaGone(replica);
    if (what === 'die') for (const doc of replica.held.flatMap((call) => this.#known(call))) doc.deaths += 1;
    replica.failAll(what === 'die' ? 'REPLICA_LOST' : 'TRANSPORT_FAILED');
  }

  #checkCall(call: HeldCall, replica: FakeReplica): void {
    const docs = this.#known(call);
    const { batchSize, credit, state } = replica.info;
    assert.equal(state, 'ready', 'only ready replicas are asked');
    assert.ok(docs.length > 0 && docs.length <= batchSize, `${docs.length} documents of at most ${batchSize}`);
    assert.ok(replica.held.length < credit, 'never more batches than its credit');
    assert.equal(new Set(docs.map(({ lane }) => lane)).size, 1, 'lanes do not mix');
    assert.match(docs[0]?.lane ?? '', new RegExp(`^lane ${JSON.stringify(call.parameters.lane)} `));
    assert.ok(!docs.some(({ cancelled }) => cancelled), 'what nobody waits for is not computed');
    const suspect = (one: readonly Known[]): boolean => one.some(({ deaths }) => deaths > 0);
    const beside = replica.held.map((one) => this.#known(one));
    if (suspect(docs)) assert.equal(beside.length, 0, 'a suspect batch runs alone');
    assert.ok(!beside.some(suspect), 'nothing runs beside a suspect batch');
  }

  #checkOutcome({ label, cancelled, deaths }: Known, outcome: string | undefined): void {
    if (outcome === `${label}!`) return;
    if (outcome === 'CANCELLED') assert.ok(cancelled, `${label} was not cancelled`);
    else if (outcome === 'DOCUMENT_KILLS') assert.ok(deaths > Math.max(1, this.retries), `${label}: ${deaths} deaths`);
    else if (outcome === 'REPLICA_LOST') assert.ok(deaths === 1 && this.retries === 0, `${label}: ${deaths} deaths`);
    else assert.fail(`${label} was answered with ${outcome}`);
  }

  #known(call: HeldCall): Known[] {
    return call.labels.map((label) => this.#docs.get(label) ?? assert.fail(`nobody sent ${label}`));
  }

  #held(): HeldCall[] {
    return this.#replicas.flatMap((replica) => replica.held);
  }

  #open(): Submission[] {
    return this.#submissions.filter(({ outcomes }) => outcomes === undefined);
  }
}

function pickOf<T>(from: readonly T[], pick: number): T | undefined {
  return from[pick % from.length];
}

test('every document is answered exactly once, in order, whatever replicas and callers do', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 3 }),
      fc.array(steps, { maxLength: 60, size: 'max' }),
      async (retries, sequence) => {
        const world = new World(retries);
        for (const step of sequence) await world.take(step);
        await world.finish();
      },
    ),
    { numRuns: 300 },
  );
});
