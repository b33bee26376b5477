import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { VERSION } from '../version.js';
import type { ReplicaInfo } from './transport.js';

/** Key of the service metadata under which a replica says of itself what the gateways need. */
export const METADATA_KEY = 'clipflow';

/**
 * One replica as a NATS micro service (ADR-32): answers `$SRV.PING|INFO|STATS`, so that `nats micro ls`, `info` and
 * `stats` show it and gateways find it. Written here because the official package is a pre-release that brings a
 * second copy of the client (docs/decisions/nats.md).
 */
export class NatsService {
  readonly #started = new Date().toISOString();
  #requests = 0;
  #errors = 0;
  #lastError = '';
  #processingNs = 0;

  constructor(
    private readonly connection: NatsConnection,
    private readonly current: () => { namespace: string; info: ReplicaInfo; subject: string },
  ) {
    const { info } = current();
    const name = this.#name();
    for (const verb of ['PING', 'INFO', 'STATS'] as const) {
      for (const subject of [`$SRV.${verb}`, `$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${info.id}`]) {
        connection.subscribe(subject, { callback: (error, request) => void (error ?? this.#answer(verb, request)) });
      }
    }
  }

  count(startedNs: bigint, error?: string): void {
    this.#requests += 1;
    this.#processingNs += Number(process.hrtime.bigint() - startedNs);
    if (error === undefined) return;
    this.#errors += 1;
    this.#lastError = error;
  }

  #name(): string {
    const { namespace, info } = this.current();
    return `${namespace}-${info.executor}`;
  }

  #answer(verb: 'PING' | 'INFO' | 'STATS', request: Msg): void {
    const current = this.current();
    const { info, subject } = current;
    const identity = {
      name: this.#name(),
      id: info.id,
      version: VERSION,
      metadata: { [METADATA_KEY]: JSON.stringify(current) },
    };
    const endpoint = { name: 'call', subject, queue_group: '' };
    const type = `io.nats.micro.v1.${verb.toLowerCase()}_response`;
    request.respond(JSON.stringify({ type, ...identity, ...this.#details(verb, info, endpoint) }));
  }

  #details(verb: 'PING' | 'INFO' | 'STATS', info: ReplicaInfo, endpoint: object): object {
    switch (verb) {
      case 'PING':
        return {};
      case 'INFO':
        return {
          description: `executor ${info.executor} on ${info.host}, pid ${info.pid}, ${info.state}`,
          endpoints: [{ ...endpoint, metadata: {} }],
        };
      case 'STATS':
        return { started: this.#started, endpoints: [{ ...endpoint, ...this.#stats(info) }] };
    }
  }

  #stats(info: ReplicaInfo): object {
    return {
      num_requests: this.#requests,
      num_errors: this.#errors,
      last_error: this.#lastError,
      processing_time: this.#processingNs,
      average_processing_time: this.#requests === 0 ? 0 : Math.round(this.#processingNs / this.#requests),
      data: { state: info.state, outstanding: info.outstanding },
    };
  }
}
