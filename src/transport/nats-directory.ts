import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { ClipflowError } from '../errors.js';
import { Channel } from './channel.js';
import { ENVELOPE_VERSION, foreignEnvelope } from './frame.js';
import { METADATA_KEY } from './nats-service.js';
import { maxFrame, type Subjects } from './nats-subjects.js';
import { RemoteReplica, ReplicaInfoSchema, Roster } from './roster.js';
import type { DirectoryChange, Directory, Replica, ReplicaInfo } from './transport.js';

const NO_RESPONDERS = 503;

/** What a replica publishes when it comes, changes or goes, and what it keeps in its service metadata. */
export const Announcement = z.object({
  namespace: z.string(),
  info: ReplicaInfoSchema,
  /** Where its frames go; a new one each time that the replica connects. */
  subject: z.string(),
  gone: z.boolean().optional(),
  /** Versions of the envelope that it speaks. */
  envelopes: z.array(z.int()).default([ENVELOPE_VERSION]),
});
export type Announcement = z.infer<typeof Announcement>;

const ServiceInfo = z.object({ metadata: z.object({ [METADATA_KEY]: z.string() }) });

interface Known {
  replica: RemoteReplica;
  subject: string;
  channelKey: string;
}

/** The gateway's side on NATS: finds replicas by the services framework, then follows their announcements. */
export class NatsDirectory implements Directory {
  #roster = new Roster();
  #known = new Map<string, Known>();
  #byChannel = new Map<string, Known>();
  #lastChannel = 0;
  #inbox: string;

  constructor(
    private readonly connection: NatsConnection,
    private readonly subjects: Subjects,
    gatewayId: string,
    private readonly onRefused?: (error: ClipflowError) => void,
  ) {
    this.#inbox = subjects.gateway(gatewayId);
    connection.subscribe(subjects.announcements, {
      callback: (error, message) => void (error ?? this.#onAnnouncement(message.data)),
    });
    connection.subscribe(`${this.#inbox}.discover`, {
      callback: (error, message) => void (error ?? this.#onServiceInfo(message)),
    });
    connection.subscribe(`${this.#inbox}.channel.*`, {
      callback: (error, message) => void (error ?? this.#onFrame(message)),
    });
    this.#discover();
  }

  get replicas(): ReadonlyMap<string, Replica> {
    return this.#roster.replicas;
  }

  onChange(listener: (replica: Replica, change: DirectoryChange) => void): () => void {
    return this.#roster.onChange(listener);
  }

  connectionChanged(connected: boolean): void {
    if (connected) {
      this.#discover();
      return;
    }
    for (const known of [...this.#known.values()]) {
      this.#forget(known, 'lost', new ClipflowError('TRANSPORT_FAILED', 'the connection to NATS broke'));
    }
  }

  #discover(): void {
    this.connection.publish('$SRV.INFO', undefined, { reply: `${this.#inbox}.discover` });
  }

  #onServiceInfo(message: Msg): void {
    const service = ServiceInfo.safeParse(parseJson(message.data));
    if (service.success) this.#onAnnouncement(service.data.metadata[METADATA_KEY]);
  }

  #onAnnouncement(data: Uint8Array | string): void {
    const parsed = Announcement.safeParse(parseJson(data));
    if (!parsed.success || parsed.data.namespace !== this.subjects.namespace) return;
    const { info, subject, gone, envelopes } = parsed.data;
    const known = this.#known.get(info.id);
    if (!envelopes.includes(ENVELOPE_VERSION)) {
      this.onRefused?.(foreignEnvelope(`replica ${info.id} on ${info.host}`, envelopes));
    } else if (gone) {
      if (known) this.#forget(known, 'left', lost(info));
    } else if (known?.subject === subject) {
      this.#roster.update(known.replica, info);
    } else {
      // The replica had lost its connection: what was under way on the old subject may be lost with it.
      if (known) this.#forget(known, 'lost', new ClipflowError('TRANSPORT_FAILED', `replica ${info.id} reconnected`));
      this.#meet(info, subject);
    }
  }

  #meet(info: ReplicaInfo, subject: string): void {
    const channelKey = String(++this.#lastChannel);
    const reply = `${this.#inbox}.channel.${channelKey}`;
    const { connection } = this;
    const channel = new Channel({
      link: {
        get maxFrame() {
          return maxFrame(connection);
        },
        send: (chunks) => connection.publish(subject, Buffer.concat(chunks), { reply }),
      },
      onForeign: (error) => {
        this.#forget(known, 'lost', error);
        this.onRefused?.(error);
      },
      onDead: () => this.#forget(known, 'lost', lost(info)),
    });
    const known: Known = { replica: new RemoteReplica(info, channel), subject, channelKey };
    this.#known.set(info.id, known);
    this.#byChannel.set(channelKey, known);
    this.#roster.add(known.replica);
  }

  #onFrame(message: Msg): void {
    const known = this.#byChannel.get(message.subject.slice(message.subject.lastIndexOf('.') + 1));
    if (!known) return;
    // Nobody subscribes to the replica's subject any more: NATS says so at once for each frame sent there.
    if (message.headers?.code === NO_RESPONDERS) this.#forget(known, 'lost', lost(known.replica.info));
    else known.replica.channel.receive(message.data);
  }

  #forget(known: Known, change: 'left' | 'lost', reason: ClipflowError): void {
    this.#byChannel.delete(known.channelKey);
    if (this.#known.get(known.replica.info.id) === known) this.#known.delete(known.replica.info.id);
    // Off the roster first: whoever hears of a failed call must not pick this replica again.
    this.#roster.remove(known.replica, change);
    known.replica.channel.close(reason);
  }
}

function lost(info: ReplicaInfo): ClipflowError {
  return new ClipflowError('REPLICA_LOST', `replica ${info.id} is gone`);
}

function parseJson(data: Uint8Array | string): unknown {
  try {
    return JSON.parse(typeof data === 'string' ? data : Buffer.from(data).toString());
  } catch {
    return undefined;
  }
}
