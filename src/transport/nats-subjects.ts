import type { NatsConnection } from '@nats-io/transport-node';

/** Subjects of one flow; `namespace` keeps flows on one server apart. */
export interface Subjects {
  namespace: string;
  /** Replicas tell every gateway of themselves here. */
  announcements: string;
  /** Gateways tell each other of themselves here. */
  gateways: string;
  replica(id: string, epoch: string): string;
  gateway(id: string): string;
}

export function subjectsOf(namespace: string): Subjects {
  const prefix = `clipflow.${namespace}`;
  return {
    namespace,
    announcements: `${prefix}.replicas`,
    gateways: `${prefix}.gateways`,
    replica: (id, epoch) => `${prefix}.replica.${id}.${epoch}`,
    gateway: (id) => `${prefix}.gateway.${id}`,
  };
}

/** Frames stay under the server's limit and small enough that several messages take turns. */
export function maxFrame(connection: NatsConnection): number {
  return Math.min(connection.info?.max_payload ?? 1024 * 1024, 512 * 1024);
}
