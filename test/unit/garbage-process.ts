/** Prints how many bytes a call leaves in the old generation, at the gateway and at the replica together. */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { pino } from 'pino';
import type { ExecutorContext } from '../../executors/executor.js';
import { ReplicaMetrics } from '../../executors/metrics.js';
import { ExecutorRuntime } from '../../executors/runtime.js';
import { protocolAnswer } from '../../gateway/answer.js';
import { FlowDispatch } from '../../gateway/dispatch/flow-dispatch.js';
import { GatewayMetrics } from '../../gateway/metrics.js';
import { Document } from '../../src/document/document.js';
import { decodeDataRequest, encodeDataRequest } from '../../src/document/request.js';
import { loadFlow } from '../../src/flow/load.js';
import IdentityExecutor from '../bench/overhead/identity-executor.js';
import { FakeDirectory, FakeReplica } from './gateway/fake-replica.js';
import { ChannelPair } from './transport/channel-pair.js';

const log = pino({ level: 'silent' });
const WARM_UP = 20_000;
/** So few that none of the old generation is collected meanwhile. */
const CALLS = 4000;

/** Gateway and replica in one process, from the request's bytes to the answer's. */
function oneProcess(): (request: Buffer) => Promise<Buffer> {
  const executor = new IdentityExecutor({} as ExecutorContext);
  const runtime = new ExecutorRuntime(executor, IdentityExecutor.requests, new ReplicaMetrics('a', 'a-0'), log);
  const pair = new ChannelPair({ handler: (message, signal) => runtime.handle(message, signal) });
  const directory = new FakeDirectory();
  const flow = loadFlow({ text: 'executors: [{name: a, uses: x}]' }, {});
  const dispatch = new FlowDispatch(flow, directory, new GatewayMetrics(), log);
  class PairedReplica extends FakeReplica {
    override async call(...call: Parameters<FakeReplica['call']>): ReturnType<FakeReplica['call']> {
      const answer = pair.a.call(...call);
      await pair.settle();
      return answer;
    }
  }
  directory.join(new PairedReplica({ executor: 'a' }));
  return async (bytes) => {
    const request = decodeDataRequest(bytes);
    const { docs, parameters, header } = request;
    const answer = await dispatch.post({ endpoint: header.execEndpoint, docs, parameters });
    return encodeDataRequest(protocolAnswer(request, answer).response);
  };
}

function oldBytes(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name: name }) => name === 'old_space' || name === 'map_space')
    .reduce((sum, { space_used_size: used }) => sum + used, 0);
}

async function makeCalls(count: number): Promise<void> {
  for (let calls = 0; calls < count; calls++) await call(request);
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const call = oneProcess();
const docs = [new Document({ text: 'a red circle on a blue square' }).toBytes()];
const header = { requestId: 'r', execEndpoint: '/encode' };
const request = encodeDataRequest({ header, parameters: {}, routes: [], docs });
await makeCalls(WARM_UP);
// Twice: what the first one moves to the old generation is what chains start from.
collect();
collect();
const before = oldBytes();
await makeCalls(CALLS);
console.log((oldBytes() - before) / CALLS);
process.exit(); // The channels have timers.
