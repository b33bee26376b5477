import { fileURLToPath } from 'node:url';
import { FlowProcess } from '../../support/flow-process.js';
import { NatsServer } from '../../support/nats-server.js';
import { median, percentile } from '../../support/vectors.js';
import { Child } from '../child.js';
import type { Leg, LegResult } from './caller-process.js';
import type { Peer } from './peer.js';

export interface OverheadEffort {
  rounds: number;
  legSeconds: number;
  /** V8 compiles what is called often: a server that has run for a while is what counts, on all sides. */
  warmUpSeconds: number;
}

/** One contender at one number of calls under way; a figure for each round. */
export interface Overhead {
  contender: string;
  inFlight: number;
  /** Calls per second. */
  rate: number[];
  p50Ms: number[];
  p99Ms: number[];
  /** Median of the rounds' rate over that of the bare gRPC echo. */
  ratio: number;
}

const IN_FLIGHT = [1, 8, 64];
const BARE_GRPC = 'bare gRPC echo';

/** An identity executor behind the whole stack beside bare echoes, all in one run, a leg of each in turn. */
export async function measureOverhead({ rounds, legSeconds, warmUpSeconds }: OverheadEffort): Promise<Overhead[]> {
  await using nats = await NatsServer.start();
  await using grpcEcho = await startEcho('grpc');
  await using _natsEcho = await startEcho('nats', nats.address);
  await using relay = await startEcho('relay', nats.address);
  await using embedded = await startFlow('embedded');
  await using overNats = await startFlow(nats.address);
  await using bareGrpc = await startCaller({ kind: 'grpc', address: addressOf(grpcEcho) });
  await using bareNats = await startCaller({ kind: 'nats', address: nats.address });
  await using bareRelay = await startCaller({ kind: 'grpc', address: addressOf(relay) });
  await using stackEmbedded = await startCaller({ kind: 'grpc', address: new URL(embedded.url).host });
  await using stackNats = await startCaller({ kind: 'grpc', address: new URL(overNats.url).host });
  const callers = new Map([
    [BARE_GRPC, bareGrpc],
    ['bare NATS request', bareNats],
    ['bare gRPC to NATS relay', bareRelay],
    ['clipflow, embedded', stackEmbedded],
    ['clipflow, NATS', stackNats],
  ]);
  for (const caller of callers.values()) await runLeg(caller, Math.max(...IN_FLIGHT), warmUpSeconds);
  const results: Overhead[] = [];
  for (const inFlight of IN_FLIGHT) results.push(...(await compare(callers, inFlight, rounds, legSeconds)));
  return results;
}

async function compare(
  callers: ReadonlyMap<string, Child>,
  inFlight: number,
  rounds: number,
  legSeconds: number,
): Promise<Overhead[]> {
  const rows = new Map<string, Overhead>();
  for (const [contender, caller] of callers) {
    await runLeg(caller, inFlight, legSeconds / 2);
    rows.set(contender, { contender, inFlight, rate: [], p50Ms: [], p99Ms: [], ratio: NaN });
  }
  for (let round = 0; round < rounds; round++) {
    for (const [contender, caller] of callers) {
      const { calls, seconds, latenciesMs } = await runLeg(caller, inFlight, legSeconds);
      const row = rows.get(contender);
      row?.rate.push(calls / seconds);
      row?.p50Ms.push(percentile(latenciesMs, 0.5));
      row?.p99Ms.push(percentile(latenciesMs, 0.99));
    }
  }
  const base = rows.get(BARE_GRPC)?.rate ?? [];
  return [...rows.values()].map((row) => ({
    ...row,
    ratio: median(row.rate.map((rate, round) => rate / (base[round] ?? NaN))),
  }));
}

function runLeg(caller: Child, inFlight: number, seconds: number): Promise<LegResult> {
  return caller.ask<LegResult>({ seconds, inFlight } satisfies Leg);
}

function startFlow(transport: string): Promise<FlowProcess> {
  const executor = fileURLToPath(new URL('./identity-executor.js', import.meta.url));
  return FlowProcess.start({
    text: `executors: [{name: identity, uses: ${JSON.stringify(executor)}}]`,
    args: ['--transport', transport],
  });
}

function startEcho(...kind: ['grpc'] | ['nats' | 'relay', address: string]): Promise<Child> {
  return Child.start(new URL('./echo-process.js', import.meta.url), ...kind);
}

function addressOf({ hello }: Child): string {
  return `127.0.0.1:${(hello as { port: number }).port}`;
}

function startCaller(peer: Peer): Promise<Child> {
  return Child.start(new URL('./caller-process.js', import.meta.url), JSON.stringify(peer));
}
