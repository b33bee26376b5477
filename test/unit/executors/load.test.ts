import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Executor } from '../../../executors/executor.js';
import { loadExecutorClass } from '../../../executors/load.js';

const TYPED = `import { Executor, type Document } from 'clipflow';
  export default class Typed extends Executor {
    static override requests: Record<string, string> = { '/upper': 'upper' };
    upper(docs: Document[]): void { for (const doc of docs) doc.text = doc.text?.toUpperCase(); }
  }`;

const FILES: Record<string, string> = {
  'package.json': '{"type": "module"}',
  'default.js': `import { Executor } from 'clipflow';
    export class Other extends Executor {}
    export default class Main extends Executor { static requests = { '/x': 'x' }; }`,
  'single.mjs': `import { Executor } from 'clipflow'; export const help = 1; export class Only extends Executor {}`,
  'typed.ts': TYPED,
  'plain/package.json': '{}',
  'plain/typed.ts': TYPED,
  'plain/imports.ts': `import Typed from './typed.js'; export default class More extends Typed {}`,
  'several.js': `import { Executor } from 'clipflow';
    export class A extends Executor {} export class B extends Executor {}`,
  'none.js': 'export default class NoExecutor {}',
  'broken.js': 'export default class {',
  'throws.js': "throw new Error('at the top')",
  'node_modules/executor-package/package.json': JSON.stringify({ type: 'module', exports: './main.js' }),
  'node_modules/executor-package/main.js': `import { Executor } from 'clipflow'; export class Packed extends Executor {}`,
};

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'clipflow-load-'));
  for (const [name, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
});
after(() => rmSync(folder, { recursive: true, force: true }));

describe('uses', () => {
  for (const [uses, name] of [
    ['CLIPEncoder', 'ClipExecutor'],
    ['BaseExecutor', 'BaseExecutor'],
    ['./default.js', 'Main'],
    ['./single.mjs', 'Only'],
    ['./typed.ts', 'Typed'],
    ['./plain/typed.ts', 'Typed'],
    ['./plain/imports.ts', 'More'],
    ['executor-package', 'Packed'],
  ] as const) {
    test(`${uses} is ${name}`, async () => {
      const type = await loadExecutorClass(uses, folder);
      assert.equal(type.name, name);
      assert.ok(type.prototype instanceof Executor);
    });
  }

  test('an absolute path does not start from the flow', async () => {
    assert.equal((await loadExecutorClass(join(folder, 'default.js'), '/')).name, 'Main');
  });

  test('keeps what the class says it serves', async () => {
    assert.deepEqual((await loadExecutorClass('./typed.ts', folder)).requests, { '/upper': 'upper' });
  });
});

describe('uses that cannot be', () => {
  for (const [uses, message] of [
    ['./several.js', /several\.js must export one class that extends Executor \(as default, or as its only one\)$/],
    ['./none.js', /none\.js must export one class that extends Executor/],
    ['./broken.js', /^uses: ".\/broken.js": .*broken\.js cannot be loaded: /],
    ['./throws.js', /throws\.js cannot be loaded: at the top$/],
    ['./missing.js', /missing\.js cannot be loaded: Cannot find module/],
    ['./missing.ts', /missing\.ts cannot be loaded: Cannot find module/],
    ['no-such-package', /^uses: "no-such-package" is none of the executors that ship \(CLIPEncoder, .*\), no path/],
    ['toString', /^uses: "toString" is none of the executors that ship/],
  ] as const) {
    test(`${uses} is INVALID_FLOW and says why`, async () => {
      await assert.rejects(loadExecutorClass(uses, folder), { code: 'INVALID_FLOW', message });
    });
  }
});
