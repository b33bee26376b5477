import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ClipflowError } from '../errors.js';
import type { JsonObject } from '../json.js';
import { someoneListens } from '../someone-listens.js';
import { Channel } from './channel.js';
import { RemoteReplica, ReplicaInfoSchema, Roster } from './roster.js';
import { SocketLink } from './socket-link.js';
import type { Directory, Handler, Registration, ReplicaInfo, StaticInfo, Transport } from './transport.js';

const RECONNECT_MIN_MS = 20;
const RECONNECT_MAX_MS = 1000;

/** Where the processes of a flow on this machine meet when nobody says otherwise: one place per user and flow. */
export function embeddedSocketPath(flow: string): string {
  const key = createHash('sha256').update(`${userInfo().uid}:${flow}`).digest('hex').slice(0, 12);
  return process.platform === 'win32'
    ? `\\\\.\\pipe\\clipflow-${key}`
    : join(tmpdir(), `clipflow-${key}`, 'gateway.sock');
}

/**
 * Replicas on the gateway's own machine, over a local socket that the gateway listens on: no server to install.
 * One connection per replica; a replica whose connection breaks without a goodbye is lost.
 */
export class EmbeddedTransport implements Transport {
  readonly kind = 'embedded';
  #server: Server | undefined;
  #sockets = new Set<Socket>();
  #registrations = new Set<EmbeddedRegistration>();

  constructor(private readonly path: string) {}

  get connected(): boolean {
    return this.#server?.listening ?? [...this.#registrations].every((registration) => registration.connected);
  }

  async watch(onRefused?: (error: ClipflowError) => void): Promise<Directory> {
    if (this.#server) throw new ClipflowError('INTERNAL', 'this transport is already watching');
    const roster = new Roster();
    const server = createServer((socket) => this.#accept(socket, roster, onRefused));
    this.#server = server;
    await listen(server, this.path);
    return roster;
  }

  /** One gateway listens on a socket, so that there is nobody to tell. */
  meet(): (data: JsonObject) => void {
    return () => {};
  }

  async register(info: StaticInfo, handler: Handler, outstanding: () => number): Promise<Registration> {
    const registration = new EmbeddedRegistration(this.path, info, handler, outstanding);
    this.#registrations.add(registration);
    await registration.joined;
    return registration;
  }

  async close(): Promise<void> {
    for (const registration of this.#registrations) registration.close();
    if (!this.#server) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(socket: Socket, roster: Roster, onRefused?: (error: ClipflowError) => void): void {
    this.#sockets.add(socket);
    let replica: RemoteReplica | undefined;
    let saidGoodbye = false;
    const channel = new Channel({
      link: new SocketLink(socket, (frame) => channel.receive(frame)),
      onInfo: (data) => {
        const { gone, info } = parseInfo(data);
        saidGoodbye = gone;
        if (!info) return;
        if (replica) roster.update(replica, info);
        else roster.add((replica = new RemoteReplica(info, channel)));
      },
      onForeign: (error) => {
        onRefused?.(error);
        socket.destroy();
      },
      onDead: () => socket.destroy(),
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      // Off the roster first: whoever hears of a failed call must not pick this replica again.
      if (replica) roster.remove(replica, saidGoodbye ? 'left' : 'lost');
      const name = replica ? `replica ${replica.info.id}` : 'a replica';
      channel.close(new ClipflowError('REPLICA_LOST', `${name} is gone`));
    });
  }
}

class EmbeddedRegistration implements Registration {
  readonly joined: Promise<void>;
  #info: StaticInfo;
  #channel: Channel | undefined;
  #socket: Socket | undefined;
  #closed = false;
  #events = new EventEmitter();

  constructor(
    private readonly path: string,
    info: StaticInfo,
    private readonly handler: Handler,
    private readonly outstanding: () => number,
  ) {
    this.#info = info;
    this.joined = once(this.#events, 'joined').then(() => undefined);
    void this.#stayConnected();
  }

  get connected(): boolean {
    return this.#channel !== undefined;
  }

  update(change: Partial<StaticInfo>): void {
    this.#info = { ...this.#info, ...change };
    this.#announce();
  }

  async drain(): Promise<void> {
    this.update({ state: 'draining' });
    await this.#channel?.idle();
    this.#closed = true;
    const socket = this.#socket;
    if (!socket) return;
    this.#channel?.sendInfo({ gone: true });
    // Not once(): it fails on an error, such as the reset by a gateway that leaves at the same moment.
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.end();
    await closed;
  }

  close(): void {
    this.#closed = true;
    this.#socket?.destroy();
    this.#events.emit('joined');
  }

  #announce(): void {
    this.#channel?.sendInfo({ info: { ...this.#info, outstanding: this.outstanding() } });
  }

  async #stayConnected(): Promise<void> {
    let pause = RECONNECT_MIN_MS;
    while (!this.#closed) {
      const socket = createConnection(this.path);
      this.#socket = socket;
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.on('error', () => socket.destroy());
      socket.once('connect', () => {
        const channel: Channel = new Channel({
          link: new SocketLink(socket, (frame) => {
            pause = RECONNECT_MIN_MS; // Not before: a gateway may hang up at once.
            channel.receive(frame);
          }),
          handler: this.handler,
          onDead: () => socket.destroy(),
        });
        this.#channel = channel;
        this.#announce();
        this.#events.emit('joined');
      });
      await closed;
      this.#channel?.close(new ClipflowError('TRANSPORT_FAILED', 'the connection to the gateway broke'));
      this.#channel = undefined;
      this.#socket = undefined;
      if (this.#closed) return;
      await delay(pause);
      pause = Math.min(pause * 2, RECONNECT_MAX_MS);
    }
  }
}

function parseInfo(data: JsonObject): { gone: boolean; info?: ReplicaInfo } {
  const info = ReplicaInfoSchema.safeParse(data.info);
  return { gone: data.gone === true, ...(info.success ? { info: info.data } : {}) };
}

/** Takes over the socket file that a killed gateway left behind; one that answers belongs to a gateway that runs. */
async function listen(server: Server, path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const tryListen = async (): Promise<void> => {
    server.listen(path);
    await once(server, 'listening');
  };
  try {
    await tryListen();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    if (await someoneListens({ path })) {
      throw new ClipflowError(
        'INVALID_CONFIG',
        `another gateway already listens on ${path}: stop it, or give this flow another name (with.name)`,
      );
    }
    rmSync(path, { force: true });
    await tryListen();
  }
}
