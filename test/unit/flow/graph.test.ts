import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { buildGraph } from '../../../src/flow/graph.js';

type Given = Record<string, string[]>;
const graphOf = (given: Given) => buildGraph(Object.entries(given).map(([name, needs]) => ({ name, needs })));

describe('buildGraph', () => {
  const cases: [title: string, given: Given, nodes: Given, ends: string[]][] = [
    ['one', { a: [] }, { a: ['gateway'] }, ['a']],
    ['a pipeline', { a: [], b: [], c: [] }, { a: ['gateway'], b: ['a'], c: ['b'] }, ['c']],
    ['a fork', { a: [], b: ['gateway'] }, { a: ['gateway'], b: ['gateway'] }, ['a', 'b']],
    [
      'a diamond',
      { a: [], b: ['a'], c: ['a'], d: ['b', 'c'] },
      { a: ['gateway'], b: ['a'], c: ['a'], d: ['b', 'c'] },
      ['d'],
    ],
    [
      'branches of several steps',
      { a: ['gateway'], b: [], c: ['gateway'], d: [], e: ['b', 'd'], f: [] },
      { a: ['gateway'], b: ['a'], c: ['gateway'], d: ['c'], e: ['b', 'd'], f: ['e'] },
      ['f'],
    ],
    [
      'a join with what the caller sent',
      { a: [], b: ['gateway', 'a'] },
      { a: ['gateway'], b: ['gateway', 'a'] },
      ['b'],
    ],
    ['a need further down', { a: ['b'], b: ['gateway'] }, { b: ['gateway'], a: ['b'] }, ['a']],
    ['a need named twice', { a: [], b: ['a', 'a'] }, { a: ['gateway'], b: ['a'] }, ['b']],
  ];
  for (const [title, given, nodes, ends] of cases) {
    test(title, () => {
      const graph = graphOf(given);
      assert.deepEqual(graph, { nodes: Object.entries(nodes).map(([name, needs]) => ({ name, needs })), ends });
    });
  }

  test('a cycle', () => {
    assert.throws(() => graphOf({ a: ['c'], b: ['a'], c: ['b'] }), {
      code: 'INVALID_FLOW',
      message: 'executors[0].needs: a cycle: a needs c needs b needs a',
    });
  });

  test('needs of earlier ones: each node once and behind what it needs, leaves are the ends', () => {
    const given = fc.array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 12 }).map((all) =>
      all.map((needs, index) => ({
        name: `n${index}`,
        needs: needs.map((need) => (need % (index + 1) === index ? 'gateway' : `n${need % (index + 1)}`)),
      })),
    );
    fc.assert(
      fc.property(given, (executors) => {
        const { nodes, ends } = buildGraph(executors);
        const seen = new Set(['gateway']);
        for (const { name, needs } of nodes) {
          assert.ok(needs.length > 0 && needs.every((need) => seen.has(need)));
          seen.add(name);
        }
        assert.equal(seen.size, executors.length + 1);
        const leaves = executors
          .map(({ name }) => name)
          .filter((name) => !nodes.some(({ needs }) => needs.includes(name)));
        assert.deepEqual([...ends].sort(), leaves.sort());
      }),
    );
  });
});
