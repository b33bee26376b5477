import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { evaluateWhen, whenProblems } from '../../../src/flow/when.js';
import type { WhenCondition, WhenDocument } from '../../../src/flow/when.js';

const json = z.record(z.string(), z.json());
// What DocArray 0.21.0's `DocumentArray.find` answers for each document alone.
const fixture = z
  .object({
    docs: z.record(z.string(), json),
    conditions: z.array(z.object({ when: json, met: z.record(z.string(), z.boolean()) })),
  })
  .parse(JSON.parse(readFileSync(new URL('../../../../test/unit/flow/fixtures/when.json', import.meta.url), 'utf8')));

const documentOf = (fields: Record<string, unknown>): WhenDocument => ({ field: (name) => fields[name] });

describe('evaluateWhen', () => {
  for (const { when, met } of fixture.conditions) {
    test(JSON.stringify(when), () => {
      assert.deepEqual(whenProblems(when), []);
      for (const [name, expected] of Object.entries(met)) {
        assert.equal(evaluateWhen(when, documentOf(fixture.docs[name] ?? {})), expected, name);
      }
    });
  }

  test('$ne is $neq, an empty condition is met, values of another type never compare', () => {
    const doc = documentOf({ tags: { a: 1, s: 'x' } });
    const met = (when: WhenCondition): boolean => evaluateWhen(when, doc);
    assert.deepEqual([met({ tags__a: { $ne: 1 } }), met({ tags__a: { $ne: 2 } })], [false, true]);
    assert.equal(met({}), true);
    assert.deepEqual(
      [met({ tags__s: { $gt: 1 } }), met({ tags__a: { $regex: '1' } }), met({ tags__a: { $size: 1 } })],
      [false, false, false],
    );
  });

  test('logical operators beside fields must hold too (DocArray adds the fields to the $or)', () => {
    const when = { $or: [{ tags__a: { $eq: 1 } }, { tags__a: { $eq: 2 } }], text: { $eq: 'x' } };
    assert.equal(evaluateWhen(when, documentOf({ text: 'x', tags: { a: 3 } })), false);
    assert.equal(evaluateWhen(when, documentOf({ text: 'x', tags: { a: 2 } })), true);
  });
});

describe('whenProblems', () => {
  const cases: [when: unknown, path: string, message: RegExp][] = [
    [1, '', /^expected a condition/],
    [{ a: 1 }, 'a', /^expected an operator/],
    [{ a: {} }, 'a', /^expected an operator/],
    [{ $nor: [] }, '$nor', /^expected the name of a field/],
    [{ $or: [{ a: { $eq: 1 } }, 2] }, '$or.1', /^expected a condition/],
    [{ $not: { a: { $sise: 2 } } }, '$not.a.$sise', /did you mean "\$size"\?$/],
    [{ a: { $exists: 1 } }, 'a.$exists', /^expected true or false/],
    [{ a: { $size: '1' } }, 'a.$size', /^expected a number/],
    [{ a: { $in: 'abc' } }, 'a.$in', /^expected a list/],
    [{ a: { $regex: 1 } }, 'a.$regex', /^expected a regular expression/],
    [{ a: { $regex: '(' } }, 'a.$regex', /^not a regular expression of JavaScript/],
    [{ a: { $eq: '{b} and {c}' } }, 'a.$eq', /^expected the name of one field/],
  ];
  for (const [when, path, message] of cases) {
    test(JSON.stringify(when), () => {
      const [problem, ...others] = whenProblems(when);
      assert.ok(problem && others.length === 0);
      assert.equal(problem.path.join('.'), path);
      assert.match(problem.message, message);
    });
  }
});
