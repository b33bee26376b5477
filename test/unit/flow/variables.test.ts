import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { load, problemsOf } from './support.js';

describe('variables', () => {
  const env = { N: '3', YES: 'true', TEXT: 'a b', PORTS: '[1, 2, 3]', EMPTY: '', HASH: 'p#1: x #2', REF: '$N' };
  const valueOf = (text: string): unknown =>
    load(`executors: [{uses: x, uses_with: {v: ${text}}}]`, env).executors[0]?.with.v;
  const cases: [text: string, value: unknown][] = [
    ['"${{ ENV.N }}"', 3],
    ['"${{ env.N }}"', 3],
    ['"${{ENV.N}}"', 3],
    ['$N', 3],
    ['"${N}"', 3],
    ['$YES', true],
    ['$TEXT', 'a b'],
    ['$PORTS', [1, 2, 3]],
    ['$EMPTY', null],
    ['$HASH', 'p#1: x #2'],
    ['$REF', '$N'],
    ['v$N', 'v3'],
    ['"$N$N"', '33'],
    ['"/${{ ENV.TEXT }}/$N"', '/a b/3'],
    ['$$N', '$N'],
    ['5$', '5$'],
    ['"^a$|b"', '^a$|b'],
    ['$5', '$5'],
  ];
  for (const [text, value] of cases) test(text, () => assert.deepEqual(valueOf(text), value));

  test('in settings with types', () => {
    const flow = load(
      'with:\n  port: $PORTS\nexecutors:\n  - uses: x\n    replicas: ${{ ENV.N }}\n    shards: $EMPTY\n',
      env,
    );
    assert.deepEqual([flow.gateway.listen.length, flow.executors[0]?.replicas, flow.executors[0]?.shards], [3, 3, 1]);
  });

  test('what is missing or not supported is named with its place', () => {
    const text =
      'with:\n  host: $NOPE\n  name: "${{ CONTEXT.n }}"\nexecutors:\n  - uses: ${{ root.with.name }}\n    workspace: "${A:-b}"\n';
    assert.deepEqual(problemsOf(text, env), [
      'f.yml:2:9: the environment variable NOPE is not set; set it, or write $$ for a dollar sign',
      'f.yml:3:9: ${{ CONTEXT.n }} is not supported; only environment variables are: ${{ ENV.NAME }}',
      'f.yml:5:11: ${{ root.with.name }} is not supported; only environment variables are: ${{ ENV.NAME }}',
      'f.yml:6:16: "A:-b" is not the name of an environment variable',
    ]);
  });
});
