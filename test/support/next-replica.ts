import { connect, type NatsConnection } from '@nats-io/transport-node';

const FRAME = { request: 1, reply: 2, ping: 5, pong: 6, ofTomorrow: 9 };
const LAST = 1;

/** A frame, by the form that is written down: version u8, type u8, flags u16, id u32, little-endian. */
export function frame(
  version: number,
  type: number,
  id = 0,
  payload: Uint8Array = new Uint8Array(),
  flags = LAST,
): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt8(version, 0);
  head.writeUInt8(type, 1);
  head.writeUInt16LE(flags, 2);
  head.writeUInt32LE(id, 4);
  return Buffer.concat([head, payload]);
}

/** The answer to a message, by the form that is written down: u32 length, preamble, parts, which here come back. */
function answerTo(message: Uint8Array): Buffer {
  const start = 4 + Buffer.from(message).readUInt32LE(0);
  const { parts } = JSON.parse(Buffer.from(message.subarray(4, start)).toString()) as { parts: number[] };
  const header = { held: 0, errors: [], mood: 'good' };
  const preamble = Buffer.from(JSON.stringify({ header, parts, checksum: 'x' }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(preamble.length);
  return Buffer.concat([length, preamble, message.subarray(start)]);
}

/**
 * A replica of a later release on NATS, by the bytes alone: it tells and sends things that this release has not heard
 * of, and answers each call (which must fit one frame) with its documents as they came.
 */
export class NextReplica implements AsyncDisposable {
  #announcing: NodeJS.Timeout;

  private constructor(
    private readonly connection: NatsConnection,
    announce: () => void,
  ) {
    announce();
    this.#announcing = setInterval(announce, 100);
  }

  /** @param envelopes versions of the envelope that it speaks; it answers in the version that it was called in */
  static async start(address: string, namespace: string, executor: string, envelopes: number[]): Promise<NextReplica> {
    const connection = await connect({ servers: new URL(address).host });
    const id = `next-${envelopes.join('-')}`;
    const subject = `clipflow.${namespace}.replica.${id}.1`;
    connection.subscribe(subject, {
      callback: (_, message) => {
        const [version = 0, type] = message.data;
        if (!envelopes.includes(version)) return;
        const callId = Buffer.from(message.data).readUInt32LE(4);
        if (type === FRAME.ping) message.respond(frame(version, FRAME.pong));
        if (type !== FRAME.request) return;
        message.respond(frame(version, FRAME.ofTomorrow, 7, Buffer.from('news')));
        message.respond(frame(version, FRAME.reply, callId, answerTo(message.data.subarray(8)), LAST | 0x8000));
      },
    });
    const info = {
      ...{ id, executor, shard: 0, pid: 1, host: 'tomorrow', state: 'ready', endpoints: ['/default'] },
      ...{ models: [], batchSize: 8, credit: 2, outstanding: 0, zone: 'b' },
    };
    const announcement = JSON.stringify({ namespace, info, subject, envelopes, region: 'x' });
    return new NextReplica(connection, () => connection.publish(`clipflow.${namespace}.replicas`, announcement));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#announcing);
    await this.connection.close();
  }
}
