import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { clipflow } from '../support/clipflow.js';
import { FlowProcess, ROOT } from '../support/flow-process.js';

/** A flow whose executor answers with the word that stands in its file. */
class Versions {
  private constructor(
    private readonly folder: string,
    readonly name: string,
    private readonly settings: string,
  ) {}

  static async make(t: TestContext, name: string, settings = ''): Promise<Versions> {
    const folder = await mkdtemp(join(tmpdir(), 'clipflow-reload-'));
    t.after(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'package.json'), '{"type": "module"}');
    return new Versions(folder, name, settings);
  }

  get file(): string {
    return join(this.folder, 'executor.js');
  }

  async write(word: string): Promise<void> {
    const base = pathToFileURL(join(ROOT, 'dist/executors/mod.js')).href;
    const code = `import { Executor } from ${JSON.stringify(base)};
export default class Versioned extends Executor {
  static requests = { '/default': 'tell' };
  async tell(docs) { for (const doc of docs) doc.tags = { word: '${word}' }; }
}`;
    await writeFile(this.file, word === '' ? 'this is no JavaScript' : code);
  }

  start(): Promise<FlowProcess> {
    const file = JSON.stringify(this.file);
    return FlowProcess.start({
      text: `with: { name: ${this.name} }
executors: [{ name: told, uses: ${file}, replicas: 2, ${this.settings.replace('FILE', file)} }]`,
    });
  }
}

async function ask(flow: FlowProcess): Promise<string> {
  const { body } = await flow.post({ data: [{ text: 'a' }], exec_endpoint: '/tell' });
  assert.equal(body.header.status, null, JSON.stringify(body.header));
  return String(body.data[0]?.tags?.word);
}

/** Asks without pause until stopped; in the order of the answers. */
function askOn(flow: FlowProcess): { stop: () => Promise<string[]> } {
  let stopped = false;
  const words: string[] = [];
  const workers = Array.from({ length: 4 }, async () => {
    while (!stopped) words.push(await ask(flow));
  });
  return {
    stop: async () => {
      stopped = true;
      await Promise.all(workers);
      return words;
    },
  };
}

describe('clipflow reload', () => {
  test('replaces the replicas one by one under load: no request fails, then only the new answers', async (t) => {
    const versions = await Versions.make(t, 'reloaded');
    await versions.write('old');
    await using flow = await versions.start();
    const pids = new Set((await flow.replicas('told')).map(({ pid }) => pid));
    const load = askOn(flow);
    await versions.write('new');
    assert.equal(await clipflow('reload', 'told', '--flow', 'reloaded'), 'told: reloaded\n');
    const words = await load.stop();
    t.diagnostic(`${words.length} requests while reloading`);
    assert.deepEqual(new Set(words), new Set(['old', 'new']));
    assert.equal(await ask(flow), 'new');
    const ready = await flow.untilReady('told', 2);
    assert.ok(ready.every(({ pid }) => !pids.has(pid)));
  });

  test('leaves the old ones where the new do not start, and says so', async (t) => {
    const versions = await Versions.make(t, 'broken');
    await versions.write('old');
    await using flow = await versions.start();
    await versions.write('');
    await assert.rejects(clipflow('reload', '--flow', 'broken'), /told\/rep-0 does not start anew/);
    for (let i = 0; i < 4; i++) assert.equal(await ask(flow), 'old');
    await assert.rejects(clipflow('reload', 'tell', '--flow', 'broken'), /no executor "tell"; it has: told/);
  });

  test('happens by itself where the executor is watched', async (t) => {
    const versions = await Versions.make(t, 'watched', 'watch: FILE');
    await versions.write('old');
    await using flow = await versions.start();
    const from = flow.events.length;
    await versions.write('newer');
    await flow.event(({ event }) => event === 'reloading', from);
    const stopped = (): number => flow.events.slice(from).filter(({ event }) => event === 'stopped').length;
    await flow.event(() => stopped() === 2);
    assert.equal(await ask(flow), 'newer');
  });
});
