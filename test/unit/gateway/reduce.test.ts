import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
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

const bytes = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'));

describe('two answers to one document are joined as DocArray joins them', () => {
  for (const { name, first, second, reduced } of cases) {
    test(name, () => {
      const json = documentToJson(Document.fromBytes(reduceDocuments(bytes(first), bytes(second))));
      assert.deepEqual(JSON.parse(JSON.stringify(json)), reduced);
    });
  }
});

test('what an answer says twice changes nothing', () => {
  const some = fc.constantFrom(...cases.flatMap(({ first, second }) => [first, second]));
  fc.assert(
    fc.property(some, some, (first, second) => {
      const once = reduceDocuments(bytes(first), bytes(second));
      assert.deepEqual(reduceDocuments(once, once), once);
      // Not for contents of two kinds: DocArray lets the second replace the first.
      if (Document.fromBytes(bytes(first)).contentKind === Document.fromBytes(bytes(second)).contentKind)
        assert.deepEqual(reduceDocuments(once, bytes(second)), once);
    }),
  );
});
