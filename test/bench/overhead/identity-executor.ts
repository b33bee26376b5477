import { Executor } from '../../../executors/executor.js';

/** Answers documents as they came, so that what is measured is everything but computing. */
export default class IdentityExecutor extends Executor {
  static override requests = { '/default': 'pass' };
  override batchSize = 64;

  async pass(): Promise<void> {}
}
