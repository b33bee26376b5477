import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './flow-process.js';

/** A picture of models/tiny-clip/samples as the JSON of a document. */
export function sampleDocument(file: string): { id: string; blob: string } {
  return { id: file, blob: readFileSync(join(ROOT, 'models/tiny-clip/samples', file)).toString('base64') };
}

export function readFixture<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(ROOT, 'test/fixtures', ...path), 'utf8')) as T;
}
