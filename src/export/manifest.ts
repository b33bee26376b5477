import type { Flow } from '../flow/flow.js';

/** What manifests are made of. */
export interface Context {
  flow: Flow;
  release: string;
  image: string;
  /** There are bulk jobs. */
  jobs: boolean;
}

export function service(context: Context, part: string, ports: readonly { name: string; port: number }[]): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadata(context, part),
    spec: {
      ...(part === 'gateway' ? { type: 'ClusterIP' } : {}),
      selector: labels(context, part),
      ports: ports.map((port) => ({ ...port, targetPort: port.name })),
    },
  };
}

export function configMap(context: Context, part: string, data: Record<string, string>): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata(context, part), data };
}

export function metadata(context: Context, part: string, name = `${context.release}-${part}`): object {
  return { name, labels: labels(context, part) };
}

export function labels({ release }: Context, part: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'clipflow',
    'app.kubernetes.io/instance': release,
    'app.kubernetes.io/component': part,
  };
}

/** Pod Security `restricted`. */
export function podSecurity(): object {
  return {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 1000,
      fsGroup: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    },
  };
}

export function containerSecurity(): object {
  return { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } };
}
