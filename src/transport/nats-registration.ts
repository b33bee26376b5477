import { nuid, type Msg, type NatsConnection, type Subscription } from '@nats-io/transport-node';
import { ClipflowError } from '../errors.js';
import { Channel } from './channel.js';
import { ENVELOPE_VERSION } from './frame.js';
import type { Announcement } from './nats-directory.js';
import { NatsService } from './nats-service.js';
import { maxFrame, type Subjects } from './nats-subjects.js';
import type { Handler, Registration, StaticInfo } from './transport.js';

/** Announcements repeat at this pace: they carry the load, and mend one that was lost. */
const ANNOUNCE_MS = 1000;

/** A replica's side on NATS: one subscription for its frames, one channel for each gateway that sends some. */
export class NatsRegistration implements Registration {
  #info: StaticInfo;
  #subject = '';
  #subscription: Subscription | undefined;
  #channels = new Map<string, Channel>();
  #service: NatsService;
  #timer: NodeJS.Timeout;

  constructor(
    private readonly connection: NatsConnection,
    private readonly subjects: Subjects,
    info: StaticInfo,
    private readonly handler: Handler,
    private readonly outstanding: () => number,
  ) {
    this.#info = info;
    this.#listen();
    this.#service = new NatsService(connection, () => this.#announcement());
    this.#timer = setInterval(() => this.#announce(), ANNOUNCE_MS).unref();
  }

  connectionChanged(connected: boolean): void {
    if (connected) this.#listen();
    else this.#hangUp();
  }

  update(change: Partial<StaticInfo>): void {
    this.#info = { ...this.#info, ...change };
    this.#announce();
  }

  async drain(): Promise<void> {
    this.update({ state: 'draining' });
    await Promise.all([...this.#channels.values()].map((channel) => channel.idle()));
    clearInterval(this.#timer);
    this.#publish({ gone: true });
    this.#subscription?.unsubscribe();
    await this.connection.flush();
    this.#hangUp();
  }

  #announcement(): Announcement {
    return {
      namespace: this.subjects.namespace,
      info: { ...this.#info, outstanding: this.outstanding() },
      subject: this.#subject,
      envelopes: [ENVELOPE_VERSION],
    };
  }

  /** Under a new subject each time, so that frames of before a break find nobody and are reported as undeliverable. */
  #listen(): void {
    this.#subscription?.unsubscribe();
    this.#subject = this.subjects.replica(this.#info.id, nuid.next());
    this.#subscription = this.connection.subscribe(this.#subject, {
      callback: (error, message) => void (error ?? this.#onFrame(message)),
    });
    this.#announce();
  }

  #hangUp(): void {
    for (const channel of this.#channels.values()) {
      channel.close(new ClipflowError('TRANSPORT_FAILED', 'the connection to NATS broke'));
    }
    this.#channels.clear();
  }

  #onFrame(message: Msg): void {
    const { reply } = message;
    if (reply === undefined || reply === '') return;
    this.#channelTo(reply).receive(message.data);
  }

  #channelTo(gateway: string): Channel {
    const known = this.#channels.get(gateway);
    if (known) return known;
    const { connection } = this;
    const channel: Channel = new Channel({
      link: {
        get maxFrame() {
          return maxFrame(connection);
        },
        send: (chunks) => connection.publish(gateway, Buffer.concat(chunks)),
      },
      handler: (request, signal) => this.#handle(request, signal),
      onDead: () => {
        this.#channels.delete(gateway);
        channel.close(new ClipflowError('TRANSPORT_FAILED', `gateway ${gateway} is gone`));
      },
    });
    this.#channels.set(gateway, channel);
    return channel;
  }

  async #handle(...[request, signal]: Parameters<Handler>): ReturnType<Handler> {
    const started = process.hrtime.bigint();
    try {
      const answer = await this.handler(request, signal);
      this.#service.count(started);
      return answer;
    } catch (error) {
      this.#service.count(started, error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  #announce(): void {
    this.#publish({});
  }

  #publish(extra: Pick<Announcement, 'gone'>): void {
    if (this.connection.isClosed()) return;
    this.connection.publish(this.subjects.announcements, JSON.stringify({ ...this.#announcement(), ...extra }));
  }
}
