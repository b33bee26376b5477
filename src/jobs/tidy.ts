import type { Logger } from '../telemetry/log.js';
import { keys } from './job.js';
import type { JobControl } from './job-control.js';
import type { FileStore } from './store/file-store.js';

const AT_ONCE = 100;

/** Removes files and jobs whose time is over, and mends jobs that have lost their tasks. */
export async function tidy(control: JobControl, store: FileStore, log: Logger): Promise<void> {
  const { book } = control;
  const over = await book.expired(Date.now(), AT_ONCE);
  for (const { kind, id } of over) {
    if (kind === 'file') {
      const file = await book.file(id);
      await store.remove(keys.file(id));
      if (file) await book.removeFile(file);
    } else {
      const job = await book.job(id);
      await store.remove(keys.job(id));
      if (job) await book.removeJob(job.spec);
    }
    await book.forgetExpiry(kind, id);
  }
  if (over.length > 0) log.info({ event: 'expired_removed', count: over.length });
  for (const id of await book.open()) {
    const job = await book.job(id);
    if (job) await control.repair(job);
  }
}
