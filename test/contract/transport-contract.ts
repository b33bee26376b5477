import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ClipflowError } from '../../src/errors.js';
import { openTransport } from '../../src/transport/open.js';
import type { Directory, Message, Replica, Transport } from '../../src/transport/transport.js';
import { nextChange, replicaWhere, within } from '../support/until.js';

export interface TransportHarness {
  address: string;
  stop: () => Promise<void>;
}

export interface TransportTraits<Harness extends TransportHarness> {
  /** Breaks every connection and mends the way again; undefined where no server stands in between. */
  restart?: (harness: Harness) => Promise<void>;
  /** Several gateways may watch the same replicas. */
  severalGateways: boolean;
}

const REPLICA = fileURLToPath(new URL('../support/echo-replica.js', import.meta.url));
const NAMESPACE = 'contract';

interface ReplicaEvent {
  event: 'up' | 'taken' | 'aborted';
  op?: string;
  nonce?: string;
}

class EchoProcess {
  #events: ReplicaEvent[] = [];
  readonly child: ChildProcess;

  constructor(address: string, id: string) {
    this.child = fork(REPLICA, [address, NAMESPACE, id]);
    this.child.on('message', (event) => this.#events.push(event as ReplicaEvent));
  }

  async seen(event: ReplicaEvent['event'], nonce?: string): Promise<void> {
    const matches = (seen: ReplicaEvent): boolean => seen.event === event && seen.nonce === nonce;
    const wait = async (): Promise<void> => {
      while (!this.#events.some(matches)) await once(this.child, 'message');
    };
    await within(wait(), `replica event ${event}`);
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }
}

function message(header: Message['header'], ...parts: Uint8Array[]): Message {
  return { header, parts };
}

function hasCode(...codes: string[]): (error: unknown) => boolean {
  return (error) => error instanceof ClipflowError && codes.includes(error.code);
}

/** What every transport must do; run with a real process for each replica. */
export function transportContract<Harness extends TransportHarness>(
  name: string,
  start: () => Promise<Harness>,
  traits: TransportTraits<Harness>,
): void {
  const { restart } = traits;
  describe(`transport contract: ${name}`, () => {
    let harness: Harness;
    let transport: Transport;
    let directory: Directory;
    const processes: EchoProcess[] = [];
    let nextNonce = 0;
    const nonce = (): string => `n${nextNonce++}`;

    async function startReplica(id: string): Promise<{ replica: Replica; process: EchoProcess }> {
      const process = new EchoProcess(harness.address, id);
      processes.push(process);
      const replica = await replicaWhere(directory, ({ info }) => info.id === id && info.state === 'ready');
      return { replica, process };
    }

    before(async () => {
      harness = await start();
      transport = await openTransport(harness.address, NAMESPACE);
      directory = await transport.watch();
    });

    after(async () => {
      await Promise.all(processes.map((process) => process.kill()));
      await transport.close();
      await harness.stop();
    });

    test('request and reply keep the header and the borders of the parts', async () => {
      const { replica } = await startReplica('basic');
      const parts = [Buffer.from('one'), Buffer.alloc(0), Buffer.from('three')];
      const answer = await replica.call(message({ op: 'echo', nested: { a: [1, 'ü', null] } }, ...parts));
      assert.deepEqual(answer.header, { op: 'echo', nested: { a: [1, 'ü', null] } });
      assert.deepEqual(
        answer.parts.map((part) => Buffer.from(part).toString()),
        ['one', '', 'three'],
      );
    });

    test('an error of the handler reaches the caller, and the replica goes on', async () => {
      const { replica } = await startReplica('failing');
      await assert.rejects(replica.call(message({ op: 'fail' })), /the handler failed on purpose/);
      assert.equal((await replica.call(message({ op: 'echo' }))).header.op, 'echo');
    });

    test('a payload of 25 MB passes, and short calls overtake it', async () => {
      const { replica } = await startReplica('large');
      const payload = randomBytes(25 * 1024 * 1024);
      const order: string[] = [];
      const large = replica.call(message({ op: 'echo' }, payload)).then((answer) => {
        order.push('large');
        return answer;
      });
      const small = replica.call(message({ op: 'echo' })).then(() => order.push('small'));
      const [answer] = await within(Promise.all([large, small]), '25 MB and back');
      assert.ok(payload.equals(answer.parts[0] ?? Buffer.alloc(0)));
      assert.deepEqual(order, ['small', 'large']);
    });

    test('1,000 calls in flight are each answered with their own answer', async () => {
      const { replica } = await startReplica('many');
      const calls = Array.from({ length: 1000 }, (_, i) => {
        const body = Buffer.alloc(1 + ((i * 37) % 5000), i % 251);
        return replica.call(message({ op: 'echo', i }, body)).then((answer) => {
          assert.equal(answer.header.i, i);
          assert.ok(body.equals(answer.parts[0] ?? Buffer.alloc(0)));
        });
      });
      await within(Promise.all(calls), '1,000 answers');
    });

    test('a replica that dies with work in hand: its calls fail as lost, and it is off the directory by then', async () => {
      const { replica, process } = await startReplica('dying');
      const id = nonce();
      const call = replica.call(message({ op: 'hang', nonce: id }));
      const failed = assert.rejects(
        call.finally(() => assert.ok(!directory.replicas.has('dying'))),
        hasCode('REPLICA_LOST'),
      );
      await process.seen('taken', id);
      const change = nextChange(directory, 'lost');
      await process.kill();
      assert.equal((await change).info.id, 'dying');
      await within(failed, 'the call to fail');
      await assert.rejects(replica.call(message({ op: 'echo' })), hasCode('REPLICA_LOST'));
    });

    test('a replica that joins later is seen, first starting, then ready', async () => {
      const states: string[] = [];
      const end = directory.onChange(({ info }) => info.id === 'later' && states.push(info.state));
      const { replica } = await startReplica('later');
      end();
      assert.equal(states[0], 'starting');
      assert.equal(states.at(-1), 'ready');
      assert.equal((await replica.call(message({ op: 'echo' }))).header.op, 'echo');
    });

    test('cancelling ends the call here and aborts the handler there', async () => {
      const { replica, process } = await startReplica('cancelled');
      const id = nonce();
      const controller = new AbortController();
      const failed = assert.rejects(
        replica.call(message({ op: 'hang', nonce: id }), { signal: controller.signal }),
        hasCode('CANCELLED'),
      );
      await process.seen('taken', id);
      controller.abort();
      await failed;
      await process.seen('aborted', id);
      await assert.rejects(
        replica.call(message({ op: 'echo' }), { signal: AbortSignal.abort() }),
        hasCode('CANCELLED'),
      );
    });

    test('a deadline that passes ends the call here and aborts the handler there', async () => {
      const { replica, process } = await startReplica('late');
      const id = nonce();
      await assert.rejects(
        replica.call(message({ op: 'hang', nonce: id }), { timeoutMs: 50 }),
        hasCode('DEADLINE_EXCEEDED'),
      );
      await process.seen('aborted', id);
    });

    test('draining answers what is in hand, then leaves with a goodbye and exit code 0', async () => {
      const { replica, process } = await startReplica('draining');
      const id = nonce();
      const call = replica.call(message({ op: 'sleep', ms: 100, nonce: id }));
      await process.seen('taken', id);
      const left = nextChange(directory, 'left');
      const exited = once(process.child, 'exit');
      process.child.send('drain');
      assert.equal((await call).header.op, 'sleep');
      assert.equal((await left).info.id, 'draining');
      assert.deepEqual(await within(exited, 'the replica to exit'), [0, null]);
    });

    if (traits.severalGateways) {
      test('a second gateway that comes later finds the replicas that are there', async () => {
        const { replica } = await startReplica('shared');
        const other = await openTransport(harness.address, NAMESPACE);
        const found = await replicaWhere(
          await other.watch(),
          ({ info }) => info.id === 'shared' && info.state === 'ready',
        );
        const answers = await Promise.all([
          found.call(message({ op: 'echo', g: 2 })),
          replica.call(message({ op: 'echo', g: 1 })),
        ]);
        assert.deepEqual(
          answers.map(({ header }) => header.g),
          [2, 1],
        );
        await other.close();
      });
    }

    if (restart) {
      test('every break of the way in mid-load ends calls as broken, never twice, and work goes on after it', async () => {
        await startReplica('restarted');
        let answered = 0;
        let broken = 0;
        let stop = false;
        const load = async (): Promise<void> => {
          while (!stop) {
            const replica = await replicaWhere(
              directory,
              ({ info }) => info.id === 'restarted' && info.state === 'ready',
            );
            try {
              await replica.call(message({ op: 'sleep', ms: 5 }, Buffer.alloc(10_000)));
              answered += 1;
            } catch (error) {
              assert.ok(hasCode('TRANSPORT_FAILED', 'REPLICA_LOST')(error), String(error));
              broken += 1;
            }
          }
        };
        const workers = Array.from({ length: 20 }, load);
        for (let round = 0; round < 2; round++) {
          const lost = nextChange(directory, 'lost');
          await restart(harness);
          await lost;
          await replicaWhere(directory, ({ info }) => info.id === 'restarted' && info.state === 'ready');
          const before = answered;
          await within(
            (async () => {
              while (answered < before + 20) await new Promise(setImmediate);
            })(),
            'answers after the restart',
          );
        }
        stop = true;
        await within(Promise.all(workers), 'the load to end');
        assert.ok(broken > 0, 'the restart hit calls under way');
      });
    }
  });
}
