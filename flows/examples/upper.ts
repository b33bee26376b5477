import { Executor, type Document } from 'clipflow';

/** Writes texts in capitals. */
export default class Upper extends Executor {
  static override requests = { '/upper': 'upper' };

  upper(docs: Document[]): void {
    for (const doc of docs) doc.text = doc.text?.toUpperCase();
  }
}
