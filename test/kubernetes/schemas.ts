import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ROOT } from '../support/flow-process.js';

/** What an API server publishes of the kinds that the chart makes: scripts/kubernetes-schemas.mjs saved it. */
const { kinds, $defs } = JSON.parse(readFileSync(join(ROOT, 'test/fixtures/kubernetes/schemas.json'), 'utf8')) as {
  kinds: Record<string, { $ref: string }>;
  $defs: Record<string, z.core.JSONSchema.BaseSchema>;
};

const schemas = new Map<string, z.ZodType>();

/** What is wrong with a manifest, as `path: reason`; undefined where the kind is an operator's, with no schema here. */
export function violations(manifest: { apiVersion: string; kind: string }): string[] | undefined {
  const name = `${manifest.apiVersion} ${manifest.kind}`;
  const reference = kinds[name];
  if (!reference) return undefined;
  const schema = schemas.get(name) ?? z.fromJSONSchema({ ...reference, $defs });
  schemas.set(name, schema);
  const { error } = schema.safeParse(manifest);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}
