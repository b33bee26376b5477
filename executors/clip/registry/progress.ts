import type { Logger } from 'pino';

const EVERY_MS = 5_000;

/** Tells the log how far a download is, every few seconds while bytes arrive. */
export class Progress {
  readonly #started = performance.now();
  #told = this.#started;

  /** @param bytes those of `total` that were there before */
  constructor(
    private readonly log: Logger,
    private readonly model: string,
    private readonly total: number,
    private bytes: number,
  ) {
    log.info({ event: 'model_download_started', model, bytes, total });
  }

  /** @param count less than nothing when something has to come again */
  add(count: number): void {
    this.bytes += count;
    if (performance.now() - this.#told < EVERY_MS) return;
    this.#told = performance.now();
    this.log.info({ event: 'model_download', model: this.model, bytes: this.bytes, total: this.total });
  }

  end(folder: string): void {
    const seconds = Math.round(performance.now() - this.#started) / 1000;
    this.log.info({ event: 'model_downloaded', model: this.model, total: this.total, seconds, folder });
  }
}
