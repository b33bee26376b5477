import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { reduceDocuments } from '../../../gateway/dispatch/reduce.js';
import { Document } from '../../../src/document/document.js';
import { documentToJson } from '../../../src/document/json.js';

const FIXTURE = new URL('../../../../test/fixtures/reduce/docarray.json', import.meta.url);

/** What docarray's own `DocumentArray.reduce` made of the two: see make.py beside the fixture. */
const cases = z
  .array(
    z.object({
      name: z.string(),
      first: z.base64(),
      second: z.base64(),
      reduced: z.record(z.string(), z.unknown()),
    }),
  )
  .parse(JSON.parse(readFileSync(FIXTURE, 'utf8')));

const jsonOf = (doc: Uint8Array): unknown => JSON.parse(JSON.stringify(documentToJson(Document.fromBytes(doc))));
const bytes = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'));

describe('two answers to one document are joined as DocArray joins them', () => {
  for (const { name, first, second, reduced } of cases) {
    test(name, () => {
      assert.deepEqual(jsonOf(reduceDocuments(bytes(first), bytes(second))), reduced);
    });
  }
});

test('what an answer says twice changes nothing', () => {
  const docs = [...new Set(cases.flatMap(({ first, second }) => [first, second]))].map(bytes);
  for (const first of docs) {
    for (const second of docs) {
      const once = reduceDocuments(first, second);
      assert.deepEqual(jsonOf(reduceDocuments(once, second)), jsonOf(once));
    }
  }
});
