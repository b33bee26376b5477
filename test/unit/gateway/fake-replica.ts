import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { decodeCall, encodeOutcomes, type Call, type Outcome } from '../../../src/call.js';
import type { CancelSignal } from '../../../src/cancel.js';
import { ClipflowError, type ErrorCode } from '../../../src/errors.js';
import type {
  CallOptions,
  Directory,
  DirectoryChange,
  Message,
  Replica,
  ReplicaInfo,
} from '../../../src/transport/transport.js';

/** A call that a fake replica has taken and that the test answers. */
export class HeldCall implements Call {
  readonly endpoint;
  readonly parameters;
  readonly docs;
  #resolve: (message: Message) => void = () => {};
  #reject: (error: ClipflowError) => void = () => {};
  readonly answered: Promise<Message>;

  constructor(
    private readonly replica: FakeReplica,
    message: Message,
    readonly signal: CancelSignal | undefined,
  ) {
    ({ endpoint: this.endpoint, parameters: this.parameters, docs: this.docs } = decodeCall(message));
    this.answered = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // As both transports do: who gives a call up hears of it at once.
    signal?.addEventListener('abort', () => this.fail('CANCELLED'));
  }

  /** The documents as text. */
  get labels(): string[] {
    return this.docs.map((doc) => Buffer.from(doc).toString());
  }

  /** Answers each document, by default with its own text and `!`. */
  answer(outcomes: readonly Outcome[] = this.labels.map((label) => ({ doc: Buffer.from(`${label}!`) }))): void {
    this.replica.release(this);
    this.#resolve(encodeOutcomes(outcomes, this.replica.heldDocuments + this.replica.ofOthers));
  }

  /** Answers with a message that a test made up. */
  answerRaw(message: Message): void {
    this.replica.release(this);
    this.#resolve(message);
  }

  fail(code: ErrorCode): void {
    this.replica.release(this);
    this.#reject(new ClipflowError(code, `the fake replica says ${code}`));
  }
}

let replicas = 0;

/** A replica in the same process: what it is called with waits in `held` until the test answers. */
export class FakeReplica implements Replica {
  readonly info: ReplicaInfo;
  /** In the order they came. */
  held: HeldCall[] = [];
  /** Documents that it claims to have from other gateways. */
  ofOthers = 0;

  constructor(
    info: Partial<ReplicaInfo> = {},
    private readonly onCall: (call: HeldCall, replica: FakeReplica) => void = () => {},
  ) {
    this.info = {
      id: `replica-${++replicas}`,
      executor: 'clip',
      shard: 0,
      pid: 1,
      host: 'localhost',
      state: 'ready',
      endpoints: ['/default'],
      models: [],
      batchSize: 4,
      credit: 2,
      outstanding: 0,
      ...info,
    };
  }

  get heldDocuments(): number {
    return this.held.reduce((sum, call) => sum + call.docs.length, 0);
  }

  /** The `index`th of the calls that it holds. */
  at(index: number): HeldCall {
    const call = this.held[index];
    assert.ok(call, `${this.info.id} holds ${this.held.length} calls`);
    return call;
  }

  call(message: Message, options: CallOptions = {}): Promise<Message> {
    const call = new HeldCall(this, message, options.signal);
    this.onCall(call, this);
    this.held.push(call);
    return call.answered;
  }

  release(call: HeldCall): void {
    this.held = this.held.filter((one) => one !== call);
  }

  /** Everything it holds fails; the transport tells the directory first. */
  failAll(code: ErrorCode): void {
    for (const call of [...this.held]) call.fail(code);
  }
}

export class FakeDirectory implements Directory {
  readonly replicas = new Map<string, Replica>();
  #listeners = new Set<(replica: Replica, change: DirectoryChange) => void>();

  onChange(listener: (replica: Replica, change: DirectoryChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  join(...joining: Replica[]): void {
    for (const replica of joining) {
      this.replicas.set(replica.info.id, replica);
      this.tell(replica, 'joined');
    }
  }

  remove(replica: Replica, change: 'left' | 'lost'): void {
    this.replicas.delete(replica.info.id);
    this.tell(replica, change);
  }

  tell(replica: Replica, change: DirectoryChange): void {
    for (const listener of this.#listeners) listener(replica, change);
  }
}

/** Lets every promise that is settled by now reach whoever waits for it. */
export async function settled(): Promise<void> {
  await turn();
}
