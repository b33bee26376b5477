import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ClipflowError } from '../../../src/errors.js';
import { load, problemsOf } from './support.js';

describe('what is wrong in a flow', () => {
  const one = 'executors: [{uses: x}]\n';
  const cases: [title: string, text: string, ...problems: string[]][] = [
    ['an empty file', '', 'f.yml:1:1: missing; expected a mapping'],
    ['a list', '- a', 'f.yml:1:1: expected a mapping, found a list'],
    ['no executors', 'with:\n  port: 1\n', 'f.yml:1:1: executors: missing; expected a list'],
    ['none in the list', 'executors: []', 'f.yml:1:12: executors: expected a list of at least one, found a list'],
    ['broken YAML', 'a: [1\nb: 2', /^f.yml:2:1: /.source],
    ['tabs', 'executors:\n\t- uses: x', 'f.yml:2:1: Tabs are not allowed as indentation'],
    ['two documents', one + '---\n' + one, 'f.yml:2:1: expected one YAML document, found several'],
    ['a key twice', 'with: {}\nwith: {}\n' + one, 'f.yml:2:1: Map keys must be unique'],
    [
      'typos at each level',
      'wiht: {}\nwith:\n  prot: 3\n  limits: {body_byte: 1}\nexecutors:\n  - uses: {jtyp: x}\n    replcias: 2\n    qwertzu: 1\n',
      'f.yml:1:1: wiht: unknown key; did you mean "with"?',
      'f.yml:3:3: with.prot: unknown key; did you mean "port"?',
      'f.yml:4:12: with.limits.body_byte: unknown key; did you mean "body_bytes"?',
      'f.yml:6:11: executors[0].uses.jtype: missing; expected text',
      'f.yml:6:12: executors[0].uses.jtyp: unknown key; did you mean "jtype"?',
      'f.yml:7:5: executors[0].replcias: unknown key; did you mean "replicas"?',
      'f.yml:8:5: executors[0].qwertzu: unknown key',
    ],
    [
      'autoscale out of bounds',
      'executors:\n  - uses: x\n    autoscale: {min: 3, max: 2, target_ongoin: 1}\n  - uses: y\n    replicas: 5\n    autoscale: {max: 2}\n',
      'f.yml:3:22: executors[0].autoscale.min: expected at most max, which is 2, found 3',
      'f.yml:3:33: executors[0].autoscale.target_ongoin: unknown key; did you mean "target_ongoing"?',
      'f.yml:5:15: executors[1].replicas: expected 1 to 2, the bounds of autoscale, found 5',
    ],
    [
      'a webhook that cannot be called',
      'with:\n  autoscale_webhook: {url: "http://me:secret@host", every: 0, secret: x}\n' + one,
      'f.yml:2:28: with.autoscale_webhook.url: expected http(s)://host/path, without a password',
      'f.yml:2:60: with.autoscale_webhook.every: expected a number greater than 0, found 0',
      'f.yml:2:63: with.autoscale_webhook.secret: unknown key',
    ],
    [
      'wrong types',
      `with: {port: a, cors: yes, prefetch: -1, host: 3, uri: {allow: [publik]}}\nexecutors:\n  - uses: x\n    replicas: 1.5\n    needs: {a: 1}\n  - uses: 3\n  - hello\n`,
      'f.yml:1:14: with.port: expected a port from 0 to 65535 or a list of ports, found "a"',
      'f.yml:1:23: with.cors: expected true or false, found "yes"',
      'f.yml:1:38: with.prefetch: expected a number of at least 0, found -1',
      'f.yml:1:48: with.host: expected text, found 3; put it in quotes',
      'f.yml:1:65: with.uri.allow[0]: expected one of public, private, file, found "publik"; did you mean "public"?',
      'f.yml:4:15: executors[0].replicas: expected a whole number, found 1.5',
      'f.yml:5:12: executors[0].needs: expected a name or a list of names, found a mapping',
      'f.yml:6:11: executors[1].uses: expected the name of an executor or {jtype, with, metas}; one that only joins branches is BaseExecutor, found 3',
      'f.yml:7:5: executors[2]: expected a mapping, found "hello"',
    ],
    ['a wrong jtype', 'jtype: Flwo\n' + one, 'f.yml:1:8: jtype: expected Flow, found "Flwo"; did you mean "Flow"?'],
    [
      'words',
      'with: {protocol: [grpc, htp], log_level: inf}\nexecutors: [{uses: x, polling: {/a: SOME}}]',
      'f.yml:1:25: with.protocol[1]: expected one of grpc, http, websocket, found "htp"; did you mean "http"?',
      'f.yml:1:42: with.log_level: expected one of fatal, error, warn, info, debug, trace, silent, found "inf"; did you mean "info"?',
      'f.yml:2:37: executors[0].polling["/a"]: expected one of ANY, ALL, found "SOME"',
    ],
    [
      'limits of numbers and letters',
      'with: {port: [70000], name: a b, transport: redis://x}\nexecutors: [{uses: x, shards: 0}]',
      'f.yml:1:15: with.port[0]: expected a number of at most 65535, found 70000',
      'f.yml:1:29: with.name: expected letters, digits, _ and - only, found "a b"',
      'f.yml:1:45: with.transport: expected embedded or nats://host:4222, found "redis://x"',
      'f.yml:2:31: executors[0].shards: expected a number of at least 1, found 0',
    ],
    [
      'keys of Jina that would change the answer',
      'executors:\n  - uses: x\n    external: true\n    with: {}\n',
      'f.yml:3:5: executors[0].external: not supported; an executor elsewhere joins over NATS: set `transport: nats://...` and start it there',
      'f.yml:4:5: executors[0].with: not supported; settings of an executor are `uses_with`',
    ],
    [
      'with against gateway',
      'with: {port: 1, host: a}\ngateway: {port: 2, host: a}\n' + one,
      'f.yml:2:11: gateway.port: with.port says something else; keep one of the two',
    ],
    [
      'ports and protocols, half of TLS',
      'with: {port: [1, 1], ssl_keyfile: k}\n' + one,
      'f.yml:1:14: with.port: expected one port, or one for each of the 3 protocols, found 2',
      'f.yml:1:14: with.port: a port stands there twice; give one port alone for all protocols',
      'f.yml:1:35: with.ssl_keyfile: needs ssl_certfile beside it',
    ],
    [
      'what JSON cannot hold, devices, conditions',
      'executors:\n  - uses: x\n    uses_with: {a: [1, .nan]}\n    env: {CUDA_VISIBLE_DEVICES: RRx:2}\n    when: {tags__a: {$gte: 1, $gtt: 1}}\n',
      'f.yml:3:24: executors[0].uses_with.a[1]: expected a value that JSON can hold',
      'f.yml:4:33: executors[0].env.CUDA_VISIBLE_DEVICES: expected RR, a slice like RR0:2, devices like RR1,3 or ids like RRGPU-1a2b,GPU-3c4d; found "RRx:2"',
      'f.yml:5:37: executors[0].when.tags__a.$gtt: unknown operator; known are $eq, $ne, $neq, $gt, $gte, $lt, $lte, $in, $nin, $regex, $size, $exists; did you mean "$gt"?',
    ],
    [
      'the graph, beside another problem',
      'executors:\n  - {name: encoder, uses: x, replica: 1}\n  - {name: b, uses: x, needs: [gatway, encodr]}\n  - {name: b, uses: x}\n  - {name: gateway, uses: x, needs: zzz}\n',
      'f.yml:2:30: executors[0].replica: unknown key; did you mean "replicas"?',
      'f.yml:3:32: executors[1].needs[0]: no executor has the name "gatway"; did you mean "gateway"?',
      'f.yml:3:40: executors[1].needs[1]: no executor has the name "encodr"; did you mean "encoder"?',
      'f.yml:4:12: executors[2].name: "b" is the name of executors[1] already',
      'f.yml:5:12: executors[3].name: "gateway" is reserved for the gateway',
      'f.yml:5:37: executors[3].needs: no executor has the name "zzz"',
    ],
    [
      'a cycle',
      'executors:\n  - {name: a, uses: x}\n  - {name: b, uses: x, needs: d}\n  - {name: c, uses: x}\n  - {name: d, uses: x}\n',
      'f.yml:3:31: executors[1].needs: a cycle: b needs d needs c needs b',
    ],
    [
      'an executor that needs itself',
      'executors: [{name: a, uses: x, needs: a}]',
      'f.yml:1:39: executors[0].needs: a cycle: a needs a',
    ],
    [
      'an alias of itself',
      'executors: [{uses: x, uses_with: &a {b: [*a]}}]',
      'f.yml:1:42: *a stands inside what it names',
    ],
  ];
  for (const [title, text, ...expected] of cases) {
    test(title, () => {
      const found = problemsOf(text);
      const [only] = expected;
      if (expected.length === 1 && only?.startsWith('^')) assert.match(found.join('\n'), new RegExp(only));
      else assert.deepEqual(found, expected);
    });
  }

  test('aliases that multiply are refused, quickly', () => {
    const levels = Array.from(
      { length: 12 },
      (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`,
    );
    assert.match(problemsOf(['l0: &l0 [x]', ...levels].join('\n')).join(), /the YAML cannot be read/);
  });

  test('nesting of any depth is read or refused', () => {
    for (const depth of [10, 500, 2000, 20_000]) {
      const nested = '['.repeat(depth) + ']'.repeat(depth);
      try {
        load(`executors: [{uses: x, uses_with: {a: ${nested}}}]`);
      } catch (error) {
        assert.ok(error instanceof ClipflowError, `${depth}: ${String(error)}`);
      }
    }
  });

  test('whatever the text, it loads or is an INVALID_FLOW', () => {
    const key = fc.constantFrom(
      'with',
      'gateway',
      'executors',
      'uses',
      'needs',
      'env',
      'when',
      'port',
      'name',
      'jtype',
      '<<',
      '__proto__',
    );
    const word = fc.constantFrom(
      'a',
      '*a',
      '&a',
      '- ',
      '${X}',
      '$',
      '[',
      '{',
      '}',
      ']',
      ':',
      '!Flow',
      '\n',
      '\n  ',
      '\t',
      '"',
      '#',
      '|',
      '---',
      'RR',
      '1',
      '~',
    );
    const yamlish = fc
      .array(
        fc.oneof(
          key.map((k) => `${k}: `),
          word,
          fc.string(),
        ),
        { maxLength: 30 },
      )
      .map((parts) => parts.join(''));
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom<unknown>('a', 'gateway', 1, -1, null, true, '$X', '${{ ENV.X }}', 'RR', '{a}'),
        fc.dictionary(fc.oneof(key, fc.constantFrom('$eq', '$or', 'tags__a', 'replicas', 'polling')), tie('tree')),
        fc.array(tie('tree'), { maxLength: 3 }),
      ),
    }));
    const check = (text: string): void => {
      try {
        load(text, { X: '1' });
      } catch (error) {
        assert.ok(error instanceof ClipflowError, String(error));
        assert.equal(error.code, 'INVALID_FLOW');
        assert.match(error.message, /f\.yml(:\d+:\d+: | has \d+ problems:\n)/);
      }
    };
    fc.assert(fc.property(yamlish, check), { numRuns: 100 });
    fc.assert(
      fc.property(tree, (value) => check(JSON.stringify(value))),
      { numRuns: 100 },
    );
    const executors = fc.array(fc.dictionary(fc.constantFrom('name', 'uses', 'needs', 'when', 'env'), tree), {
      minLength: 1,
    });
    fc.assert(
      fc.property(executors, (value) => check(JSON.stringify({ executors: value }))),
      { numRuns: 100 },
    );
  });
});
