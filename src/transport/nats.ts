import { connect, nuid, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { ClipflowError } from '../errors.js';
import { JsonObjectSchema, type JsonObject } from '../json.js';
import { NatsDirectory } from './nats-directory.js';
import { NatsRegistration } from './nats-registration.js';
import { subjectsOf, type Subjects } from './nats-subjects.js';
import type { Directory, Handler, Registration, StaticInfo, Transport } from './transport.js';

/** How long a first connection is tried before the start fails. */
const FIRST_CONNECT_MS = 10_000;

/**
 * Replicas anywhere that reaches the same NATS server or cluster. A gateway addresses each replica by a subject of its
 * own and counts what it has outstanding there; queue groups would choose at random.
 *
 * NATS delivers at most once, and what was under way when a connection breaks may be lost on either side. So nothing
 * survives a break: both sides close their channels, calls under way fail as TRANSPORT_FAILED (their work is safe to
 * repeat), and after the reconnect replicas announce themselves under a new subject.
 */
export class NatsTransport implements Transport {
  readonly kind = 'nats';
  #connected = true;
  #listeners = new Set<(connected: boolean) => void>();

  private constructor(
    private readonly connection: NatsConnection,
    private readonly subjects: Subjects,
  ) {
    void this.#followStatus();
  }

  /** @param address `nats://[user:password@]host:port`, or several joined by commas; `tls://` for TLS. */
  static async connect(address: string, namespace: string): Promise<NatsTransport> {
    const options = connectionOptions(address);
    const deadline = Date.now() + FIRST_CONNECT_MS;
    for (;;) {
      try {
        return new NatsTransport(await connect(options), subjectsOf(namespace));
      } catch (cause) {
        if (Date.now() > deadline) {
          const servers = String(options.servers);
          throw new ClipflowError(
            'TRANSPORT_FAILED',
            `no NATS server answers at ${servers}: start one, or correct CLIPFLOW_TRANSPORT`,
            { cause },
          );
        }
      }
    }
  }

  get connected(): boolean {
    return this.#connected;
  }

  async watch(onRefused?: (error: ClipflowError) => void): Promise<Directory> {
    const directory = new NatsDirectory(this.connection, this.subjects, nuid.next(), onRefused);
    this.#listeners.add((connected) => directory.connectionChanged(connected));
    await this.connection.flush();
    return directory;
  }

  meet(onHeard: (gateway: string, data: JsonObject) => void): (data: JsonObject) => void {
    const self = nuid.next();
    this.connection.subscribe(this.subjects.gateways, {
      callback: (error, message) => {
        const told = error ? undefined : parseTold(message.data);
        if (told && told.from !== self) onHeard(told.from, told.data);
      },
    });
    return (data) => {
      if (!this.connection.isClosed()) {
        this.connection.publish(this.subjects.gateways, JSON.stringify({ from: self, data }));
      }
    };
  }

  async register(info: StaticInfo, handler: Handler, outstanding: () => number): Promise<Registration> {
    const registration = new NatsRegistration(this.connection, this.subjects, info, handler, outstanding);
    this.#listeners.add((connected) => registration.connectionChanged(connected));
    await this.connection.flush();
    return registration;
  }

  async close(): Promise<void> {
    this.#announce(false);
    await this.connection.close();
  }

  async #followStatus(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === 'disconnect') this.#announce(false);
      else if (status.type === 'reconnect') this.#announce(true);
    }
  }

  #announce(connected: boolean): void {
    if (connected === this.#connected) return;
    this.#connected = connected;
    for (const listener of this.#listeners) listener(connected);
  }
}

const Told = z.object({ from: z.string(), data: JsonObjectSchema });

function parseTold(bytes: Uint8Array): z.infer<typeof Told> | undefined {
  try {
    return Told.parse(JSON.parse(Buffer.from(bytes).toString()));
  } catch {
    return undefined; // Of a version that this one does not know.
  }
}

function connectionOptions(address: string): ConnectionOptions {
  const urls = address.split(',').map((part) => new URL(part.trim()));
  const [first] = urls;
  return {
    servers: urls.map((url) => url.host),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 100,
    timeout: 2000,
    pingInterval: 10_000,
    ...(first?.username ? { user: decodeURIComponent(first.username), pass: decodeURIComponent(first.password) } : {}),
    ...(first?.protocol === 'tls:' ? { tls: {} } : {}),
  };
}
