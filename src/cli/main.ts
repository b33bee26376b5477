#!/usr/bin/env node
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { EXIT_CONFIG, isStartError, toClipflowError } from '../errors.js';
import { PACKAGE_ROOT, VERSION } from '../version.js';
import type { ExecutorFlags } from './executor.js';
import type { ExportFlags } from './export.js';
import type { GatewayFlags } from './gateway.js';
import type { ModelsFlags } from './models.js';
import type { ServeFlags } from './serve.js';
import type { WorkerFlags } from './worker.js';

const DEFAULT_FLOW = join(PACKAGE_ROOT, 'flows', 'default.yml');

function count(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 0) return number;
  throw new InvalidArgumentError('expected a whole number');
}

const program = new Command('clipflow')
  .description('Serves CLIP embeddings: a YAML flow wires a gateway to replicated encoder executors.')
  .version(VERSION);

function flowCommand(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--transport <address>', 'embedded, or nats://host:4222 (CLIPFLOW_TRANSPORT, with.transport)')
    .option(
      '--log-level <level>',
      'fatal, error, warn, info, debug, trace or silent (CLIPFLOW_LOG_LEVEL, with.log_level)',
    )
    .option(
      '--uri-allow <list>',
      'uris that the server fetches: public,private,file (CLIPFLOW_URI_ALLOW, with.uri.allow)',
    )
    .option('--tokens-file <file>', 'hashed bearer tokens (CLIPFLOW_TOKENS_FILE, with.tokens_file)')
    .option('--redis <url>', 'redis://host:6379 (CLIPFLOW_REDIS, with.redis)')
    .option('--models <folder>', 'folder that holds model folders (CLIPFLOW_MODELS, with.models)');
}

flowCommand('serve', 'Starts a whole flow on this machine: its gateway and every replica, each a process of its own.')
  .argument('[flow]', 'flow file, or - for standard input', DEFAULT_FLOW)
  .option('--port <port>', 'port of the gateway (with.port); 0 takes a free one')
  .action(async (flow: string, flags: ServeFlags) => (await import('./serve.js')).serve(flow, flags));

flowCommand('gateway', 'Starts the gateway of a flow alone, as a container does.')
  .argument('<flow>', 'flow file, or - for standard input')
  .option('--port <port>', 'port of the gateway (with.port)')
  .option('--monitoring-port <port>', 'port for the metrics alone', count)
  .option('--external-metrics-port <port>', "port for Kubernetes' external metrics API, over TLS", count)
  .option('--external-metrics-certs <folder>', 'tls.crt and tls.key of that port')
  .action(async (flow: string, flags: GatewayFlags) => (await import('./gateway.js')).gateway(flow, flags));

flowCommand('executor', 'Starts an executor alone, as a container does: one replica, or several that share a GPU.')
  .argument('<flow>', 'flow file, or - for standard input')
  .requiredOption('--name <executor>', 'name of the executor in the flow')
  .option('--shard <index>', 'shard that it holds', count, 0)
  .option('--replica <index>', 'index among the replicas of the shard', count, 0)
  .option('--replicas <count>', 'replicas to run side by side, as those that share a GPU', count, 1)
  .option(
    '--replicas-on-machine <count>',
    'replicas that share this machine: threads are divided by it; as many as it runs unless given',
    count,
  )
  .option('--monitoring-port <port>', 'port for its metrics', count)
  .action(async (flow: string, flags: ExecutorFlags) => (await import('./executor.js')).executor(flow, flags));

flowCommand('worker', 'Starts a worker of bulk jobs alone, as a container does.')
  .argument('<flow>', 'flow file, or - for standard input')
  .option('--gateway <url>', 'http://host:51000 of the gateway (CLIPFLOW_GATEWAY)')
  .option('--monitoring-port <port>', 'port for its metrics', count)
  .action(async (flow: string, flags: WorkerFlags) => (await import('./worker.js')).worker(flow, flags));

program
  .command('scale')
  .description('Adds or drains replicas of a flow that `clipflow serve` runs on this machine.')
  .argument('<executor=replicas>', 'such as clip=4')
  .option('--flow <name>', 'name of the flow, where several run')
  .action(async (target: string, flags: { flow?: string }) => (await import('./scale.js')).scale(target, flags));

program
  .command('reload')
  .description(
    'Starts the replicas of a running flow anew, one after the other, with the models and code that are there now.',
  )
  .argument('[executor]', 'its replicas alone; those of all unless given')
  .option('--flow <name>', 'name of the flow, where several run')
  .action(async (executor: string | undefined, flags: { flow?: string }) =>
    (await import('./reload.js')).reload(executor, flags),
  );

program
  .command('export')
  .description('Writes what runs a flow elsewhere: kubernetes (kustomize), compose, or a flowchart (Mermaid).')
  .argument('<target>', 'kubernetes, compose or flowchart')
  .argument('<flow>', 'flow file, or - for standard input')
  .option('-o, --output <folder>', 'where the files go; printed unless given')
  .option('--image <name>', 'container image of clipflow')
  .option('--plan', 'print which process runs on which GPU of one machine instead')
  .option('--gpus <count>', 'GPUs of that machine', count)
  .action(async (target: string, flow: string, flags: ExportFlags) =>
    (await import('./export.js')).exportFlow(target, flow, flags),
  );

program
  .command('token')
  .description('Makes a bearer token, and its entry for the tokens file.')
  .argument('<name>', 'whom it is for')
  .action(async (name: string) => (await import('./token.js')).token(name));

program
  .command('models')
  .description('Lists the models that can be had by name, and which of them are here.')
  .option('--json', 'as JSON, with the folder of each')
  .option('--models <folder>', 'folder that holds model folders (CLIPFLOW_MODELS)')
  .action(async (flags: ModelsFlags) => (await import('./models.js')).models(flags));

program
  .command('pull')
  .description('Downloads a model into the cache of the Hugging Face hub (HF_HUB_CACHE), and prints its folder.')
  .argument('<name>', 'name of the model, such as ViT-B-32::openai')
  .action(async (name: string) => (await import('./models.js')).pull(name));

program
  .command('schema')
  .description('Prints the JSON Schema of flow files.')
  .action(async () => {
    const { flowJsonSchema } = await import('../flow/json-schema.js');
    process.stdout.write(`${JSON.stringify(flowJsonSchema(), null, 2)}\n`);
  });

try {
  await program.parseAsync();
} catch (thrown) {
  const error = toClipflowError(thrown);
  process.stderr.write(
    `clipflow: ${error.code === 'INTERNAL' ? ((thrown as Error).stack ?? error.message) : error.message}\n`,
  );
  process.exitCode = isStartError(error) ? EXIT_CONFIG : 1;
}
