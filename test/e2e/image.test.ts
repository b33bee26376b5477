import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FlowProcess, ROOT } from '../support/flow-process.js';
import { cosine } from '../support/vectors.js';

const RUN = join(ROOT, 'docker/run.sh');

/** Why nothing can be run without privileges in a root of its own here; false where it can. */
function withoutNamespaces(): string | false {
  try {
    execFileSync('unshare', ['--user', '--map-user=1000', '--keep-caps', '--mount', 'mount', '--make-rprivate', '/'], {
      stdio: 'ignore',
    });
    return false;
  } catch {
    return 'this system gives no user and mount namespaces';
  }
}

const { texts } = JSON.parse(readFileSync(join(ROOT, 'models/tiny-clip/reference.json'), 'utf8')) as {
  texts: { text: string; first16: number[] }[];
};

/** As the kernel tells them of a process. */
function factsOf(pid: number): { user: string; capabilities: string; rootMount: string } {
  const file = (name: string): string => readFileSync(`/proc/${pid}/${name}`, 'utf8');
  return {
    user: file('uid_map').trim().split(/\s+/)[0] ?? '',
    capabilities: /^CapEff:\s*(\S+)$/m.exec(file('status'))?.[1] ?? '',
    rootMount: /^\S+ \S+ \S+ \S+ \/ (\S+)/m.exec(file('mountinfo'))?.[1] ?? '',
  };
}

describe('the root file system of the image', { skip: withoutNamespaces() }, () => {
  let image = '';

  before(() => {
    image = mkdtempSync(join(tmpdir(), 'clipflow-image-'));
    execFileSync(join(ROOT, 'docker/install.sh'), [image], {
      env: { ...process.env, npm_config_prefer_offline: 'true' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  });
  after(() => rmSync(image, { recursive: true, force: true }));

  test('serves as a user without privileges, on a root that is read-only', async () => {
    await using flow = await FlowProcess.start({ command: [RUN, image] });
    const [replica] = await flow.untilReady('clip', 2);
    assert.ok(replica);
    for (const pid of [Number(flow.child.pid), replica.pid]) {
      const { user, capabilities, rootMount } = factsOf(pid);
      assert.equal(user, '1000');
      assert.equal(Number(`0x${capabilities}`), 0);
      assert.match(rootMount, /^ro\b/);
    }
    const { body } = await flow.post({ data: texts.map(({ text }) => ({ text })), exec_endpoint: '/encode' });
    body.data.forEach(({ embedding }, i) => {
      const { text, first16 } = texts[i] ?? { text: '', first16: [] };
      if (text !== '') assert.ok(cosine(embedding?.slice(0, 16) ?? [], first16) > 0.9999, text);
    });
    assert.equal(await flow.stop(), 0);
  });

  test('has no development dependencies, and of ONNX Runtime only its own platform', () => {
    const found = execFileSync('find', [join(image, 'app'), '-name', 'libonnxruntime*.so*', '-o', '-name', 'eslint']);
    const files = found.toString().trim().split('\n');
    assert.ok(files.length > 0);
    assert.deepEqual(
      files.filter((file) => !file.includes(`/linux/${process.arch}/`)),
      [],
    );
  });
});
