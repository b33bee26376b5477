import { join } from 'node:path';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { PACKAGE_ROOT } from '../../src/version.js';

/** Names and numbers of CLIP-as-service's protocol, as its published packages have them. */
export const PROTOS: PackageDefinition = loadSync('jina.proto', {
  includeDirs: [join(PACKAGE_ROOT, 'gateway', 'grpc', 'proto')],
  keepCase: true,
});

const asIs = (value: Buffer): Buffer => value;

/** A service of `PROTOS` whose messages stay bytes: the codecs of src/document read just what must be known. */
export function rawService(name: string): ServiceDefinition {
  const loaded = PROTOS[name];
  if (!loaded || 'format' in loaded) throw new Error(`${name} is no service of the protocol`);
  const methods = Object.entries(loaded).map(([method, definition]) => [
    method,
    {
      ...definition,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    },
  ]);
  return Object.fromEntries(methods) as ServiceDefinition;
}
