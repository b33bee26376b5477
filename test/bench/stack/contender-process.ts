import { openBare } from './contenders/bare.js';
import { openGrpc } from './contenders/grpc.js';
import { openHttp } from './contenders/http.js';
import type { Contender, ContenderSpec, Leg, LegResult } from './contender.js';
import { drive } from '../drive.js';
import { contents } from '../workload.js';

const contender = await open(JSON.parse(process.argv[2] ?? '{}') as ContenderSpec);
process.on('message', (leg: Leg) => {
  void run(leg).then((result) => process.send?.(result));
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');

async function open(spec: ContenderSpec): Promise<Contender> {
  switch (spec.kind) {
    case 'bare':
      return openBare(spec.models, spec.threads);
    case 'http':
      return openHttp(spec.url);
    case 'grpc':
      return openGrpc(spec.url);
  }
}

async function run({ modality, documents, batch, inFlight, pauseMs, model = 'measured' }: Leg): Promise<LegResult> {
  const all = contents(modality);
  const batches = Array.from({ length: all.length / batch }, (_, i) => all.slice(i * batch, (i + 1) * batch));
  const calls = batches.map((one) => contender.prepare(one, model));
  const cpu = process.cpuUsage();
  const { seconds, latenciesMs, first } = await drive(calls, documents / batch, inFlight, pauseMs);
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpuSeconds: (user + system) / 1e6, latenciesMs, embedding: Array.from(first()) };
}
