import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { ROOT } from '../support/flow-process.js';
import { kubectl, without } from './commands.js';
import { violations } from './schemas.js';

const folder = mkdtempSync(join(tmpdir(), 'clipflow-schemas-'));
after(() => rmSync(folder, { recursive: true }));
const skipCluster = without('cluster');

interface Deployment {
  apiVersion: string;
  kind: string;
  spec: Record<string, unknown> & { template: { spec: { containers: Record<string, unknown>[] } } };
}

/** A Deployment that is valid; a new one each time. */
function deployment(): Deployment & { container: Record<string, unknown> } {
  const text = readFileSync(join(ROOT, 'k8s/base/clip.yml'), 'utf8');
  const object = parseAllDocuments(text)[0]?.toJS() as Deployment;
  const [container = {}] = object.spec.template.spec.containers;
  return Object.defineProperty({ ...object, container }, 'container', { enumerable: false });
}

const CONTAINER = 'spec.template.spec.containers.0';
const bad: [title: string, spoil: (object: ReturnType<typeof deployment>) => void, path: string][] = [
  ['a number as text', ({ spec }) => (spec.replicas = 'two'), 'spec.replicas'],
  ['a field that is not known', ({ container }) => (container.imge = 'x'), CONTAINER],
  ['a container without a name', ({ container }) => delete container.name, `${CONTAINER}.name`],
  ['a list as a mapping', ({ container }) => (container.args = { 0: 'executor' }), `${CONTAINER}.args`],
  ['an argument that is no text', ({ container }) => (container.args = [51000]), `${CONTAINER}.args.0`],
  [
    'an amount that is none',
    ({ container }) => (container.resources = { limits: { memory: true } }),
    `${CONTAINER}.resources.limits.memory`,
  ],
];

describe("Kubernetes' schemas", () => {
  test('take a Deployment', () => {
    assert.deepEqual(violations(deployment()), []);
  });

  test('do not have the kinds of operators', () => {
    assert.equal(violations({ apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject' }), undefined);
  });

  for (const [title, spoil, path] of bad) {
    test(`refuse ${title}, as an API server does where there is one`, async (t) => {
      const object = deployment();
      spoil(object);
      const found = violations(object) ?? [];
      assert.equal(found.length, 1);
      assert.ok(found[0]?.startsWith(`${path}: `), found[0]);
      if (skipCluster) return t.diagnostic(`not sent to a cluster: ${skipCluster}`);
      const file = join(folder, 'bad.json');
      writeFileSync(file, JSON.stringify(object));
      await assert.rejects(
        kubectl('create', '--dry-run=server', '--validate=strict', '-f', file),
        /BadRequest|invalid/i,
      );
    });
  }
});
