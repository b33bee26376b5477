import { encodeStatus, type Status } from '../src/document/status.js';
import type { ProtocolContext } from './protocol-context.js';

/** Whether the flow can answer, as Jina's clients ask it of every protocol. */
export function dryRun({ dispatch }: ProtocolContext): Status {
  const waitingFor = dispatch.notReady();
  if (waitingFor.length === 0) return { code: 0, description: '' };
  return { code: 1, description: `no replica is ready of: ${waitingFor.join(', ')}` };
}

/** The same as a StatusProto: of no bytes when all is well, which is what `is_flow_ready` looks for. */
export function dryRunBytes(context: ProtocolContext): Buffer {
  return Buffer.from(encodeStatus(dryRun(context)));
}
