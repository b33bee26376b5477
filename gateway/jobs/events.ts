import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { toClipflowError } from '../../src/errors.js';
import { hasEnded } from '../../src/jobs/job-book.js';
import type { Job } from '../../src/jobs/job.js';
import { openAiError } from '../openai/errors.js';
import { jobObject } from './shapes.js';

const LOOK_MS = 500;
/** Proxies close what is silent. */
const KEEP_ALIVE_MS = 15_000;

/** Server-sent events: `progress` whenever something has changed, then `end`. */
export async function streamProgress(read: () => Promise<Job>, reply: FastifyReply, drain: AbortSignal): Promise<void> {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  const signal = AbortSignal.any([gone.signal, drain]);
  reply.hijack();
  reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const send = (event: string, data: unknown): void => {
    reply.raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  let [shown, shownAt] = ['', Date.now()];
  try {
    while (!signal.aborted) {
      const job = await read();
      // Not its rate, which changes by itself.
      const seen = JSON.stringify(job.state);
      if (seen !== shown) {
        send('progress', jobObject(job));
        [shown, shownAt] = [seen, Date.now()];
      } else if (Date.now() - shownAt > KEEP_ALIVE_MS) {
        reply.raw.write(': still here\n\n');
        shownAt = Date.now();
      }
      if (hasEnded(job)) {
        send('end', jobObject(job));
        break;
      }
      await delay(LOOK_MS, undefined, { signal });
    }
  } catch (error) {
    if (!signal.aborted) send('error', openAiError(toClipflowError(error)));
  }
  reply.raw.end();
}
