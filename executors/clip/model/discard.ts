import { MessageChannel } from 'node:worker_threads';

/** Frees a large buffer now, by moving it to a port that closes: a thread that allocates little collects garbage late. */
export function discard(buffer: ArrayBuffer): void {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(null, [buffer]);
  port1.close();
  port2.close();
}
