import { text } from 'node:stream/consumers';
import { parseUriAllow } from '../document/uri.js';
import { ClipflowError } from '../errors.js';
import type { Flow } from '../flow/flow.js';
import { loadFlow } from '../flow/load.js';
import { parseLogLevel } from '../telemetry/log.js';

/** Flags that go over the environment, which goes over the flow file. */
export interface Flags {
  port?: string;
  transport?: string;
  logLevel?: string;
  uriAllow?: string;
  models?: string;
  tokensFile?: string;
  redis?: string;
}

export interface LoadedFlow {
  flow: Flow;
  /** The text, where the flow came from standard input: child processes get it the same way. */
  stdin?: string;
}

/** @param path a file, or `-` for standard input */
export async function loadFlowWith(
  path: string,
  flags: Flags,
  env: NodeJS.ProcessEnv = process.env,
): Promise<LoadedFlow> {
  if (path !== '-') return { flow: overlay(loadFlow({ path }, env), flags, env) };
  const stdin = await text(process.stdin);
  return { flow: overlay(loadFlow({ text: stdin, name: 'stdin' }, env), flags, env), stdin };
}

function overlay(flow: Flow, flags: Flags, env: NodeJS.ProcessEnv): Flow {
  const transport = flags.transport ?? env.CLIPFLOW_TRANSPORT ?? flow.transport;
  const logLevel = parseLogLevel(flags.logLevel ?? env.CLIPFLOW_LOG_LEVEL ?? env.JINA_LOG_LEVEL ?? flow.logLevel);
  const models = flags.models ?? env.CLIPFLOW_MODELS ?? flow.models;
  const tokensFile = flags.tokensFile ?? env.CLIPFLOW_TOKENS_FILE ?? flow.tokensFile;
  const redis = redisUrl(flags.redis ?? env.CLIPFLOW_REDIS) ?? flow.redis;
  // Where the files of jobs lie is the deployment's business, as a volume is.
  const jobFiles = env.CLIPFLOW_JOBS_FILES;
  const uriAllow = flags.uriAllow ?? env.CLIPFLOW_URI_ALLOW;
  return {
    ...flow,
    transport,
    logLevel,
    models,
    tokensFile,
    redis,
    ...(jobFiles === undefined || jobFiles === '' ? {} : { jobs: { ...flow.jobs, files: jobFiles } }),
    ...(uriAllow === undefined ? {} : { uri: { allow: parseUriAllow(uriAllow) } }),
    ...(flags.port === undefined ? {} : { gateway: { ...flow.gateway, listen: onPort(flow, flags.port) } }),
  };
}

/** An empty one, as of a variable that is set to nothing, is none. */
function redisUrl(url: string | undefined): string | undefined {
  if (url === undefined || url === '') return undefined;
  if (/^rediss?:\/\/\S+$/.test(url)) return url;
  // It may hold a password, so it is not shown.
  throw new ClipflowError('INVALID_CONFIG', 'the url of Redis (--redis, CLIPFLOW_REDIS): expected redis://host:6379');
}

function onPort(flow: Flow, text: string): Flow['gateway']['listen'] {
  const port = portNumber(text, '--port');
  if (flow.gateway.listen.length > 1) {
    throw new ClipflowError('INVALID_CONFIG', '--port sets one port, but this flow lists several (with.port)');
  }
  return flow.gateway.listen.map((entry) => ({ ...entry, port }));
}

/** For child processes, which read the flow themselves. */
export function flagsAgain({ logLevel, uriAllow, models, tokensFile, redis }: Flags): string[] {
  const flags = {
    '--log-level': logLevel,
    '--uri-allow': uriAllow,
    '--models': models,
    '--tokens-file': tokensFile,
    '--redis': redis,
  };
  return Object.entries(flags).flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]));
}

export function portNumber(text: string, flag: string): number {
  // Digits only: an empty text, as from an unset variable, would be port 0.
  const port = /^\d+$/.test(text) ? Number(text) : NaN;
  if (port <= 65535) return port;
  throw new ClipflowError('INVALID_CONFIG', `${flag} "${text}": expected a port from 0 to 65535`);
}
