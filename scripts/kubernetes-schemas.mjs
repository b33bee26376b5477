// Saves the schemas that an API server publishes of the kinds that the chart makes, for tests that have no cluster:
//   node scripts/kubernetes-schemas.mjs > test/fixtures/kubernetes/schemas.json    (kubectl and KUBECONFIG at hand)
// Left out is what checks nothing (texts, defaults, formats, status). A field that is not known is refused, as
// `kubectl --validate=strict` does.
import { execFileSync } from 'node:child_process';

const KINDS = {
  'api/v1': ['ConfigMap', 'PersistentVolumeClaim', 'Pod', 'Secret', 'Service', 'ServiceAccount'],
  'apis/apps/v1': ['Deployment', 'StatefulSet'],
  'apis/autoscaling/v2': ['HorizontalPodAutoscaler'],
  'apis/networking.k8s.io/v1': ['Ingress', 'NetworkPolicy'],
  'apis/policy/v1': ['PodDisruptionBudget'],
  'apis/rbac.authorization.k8s.io/v1': ['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'],
  'apis/scheduling.k8s.io/v1': ['PriorityClass'],
  'apis/apiregistration.k8s.io/v1': ['APIService'],
};
const REFERENCE = '#/components/schemas/';

const get = (path) => JSON.parse(execFileSync('kubectl', ['get', '--raw', path], { maxBuffer: 64 * 2 ** 20 }));

const kinds = {};
const $defs = {};
for (const [path, names] of Object.entries(KINDS)) {
  const published = get(`/openapi/v3/${path}`).components.schemas;
  for (const [name, schema] of Object.entries(published)) {
    const { group, kind, version } = schema['x-kubernetes-group-version-kind']?.[0] ?? {};
    if (!names.includes(kind) || !path.endsWith(version)) continue;
    keep(published, name);
    kinds[`${group ? `${group}/` : ''}${version} ${kind}`] = { $ref: `#/$defs/${name}` };
  }
}
const { gitVersion } = get('/version');
process.stdout.write(`${JSON.stringify({ kubernetes: gitVersion, kinds, $defs })}\n`);

/** A definition, and those that it names. */
function keep(published, name) {
  if (name in $defs) return;
  $defs[name] = {}; // Before it is filled, as it may name itself.
  const { properties, ...schema } = published[name];
  $defs[name] = pruned(published, schema);
  if (!properties) return;
  delete properties.status;
  const fields = Object.entries(properties).map(([field, property]) => [field, pruned(published, property)]);
  $defs[name].properties = Object.fromEntries(fields);
  $defs[name].additionalProperties = false;
}

function pruned(published, value) {
  if (Array.isArray(value)) return value.map((one) => pruned(published, one));
  if (typeof value !== 'object' || value === null) return value;
  // Where a description stands beside it, a reference is published as an allOf of one.
  if (value.allOf?.length === 1) return pruned(published, value.allOf[0]);
  if (typeof value.$ref === 'string') {
    const name = value.$ref.slice(REFERENCE.length);
    keep(published, name);
    return { $ref: `#/$defs/${name}` };
  }
  const kept = Object.entries(value).filter(([key]) => !/^(description|default|format|x-kubernetes-.*)$/.test(key));
  return Object.fromEntries(kept.map(([key, inner]) => [key, pruned(published, inner)]));
}
