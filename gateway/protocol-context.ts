import type { Flow } from '../src/flow/flow.js';
import type { Logger } from '../src/telemetry/log.js';
import type { Tokens } from './auth/tokens.js';
import type { FlowDispatch } from './dispatch/flow-dispatch.js';
import type { JobsApi } from './jobs/jobs-api.js';
import type { LoadBoard } from './load-board.js';
import type { Models } from './models.js';
import type { GatewayMetrics } from './metrics.js';
import type { ReplicaStatuses } from './replica-status.js';

/** What every protocol of a gateway is given. */
export interface ProtocolContext {
  flow: Flow;
  dispatch: FlowDispatch;
  /** For all gateways of the flow. */
  loads: LoadBoard;
  models: Models;
  statuses: ReplicaStatuses;
  metrics: GatewayMetrics;
  tokens: Tokens;
  /** Undefined where the flow names no Redis. */
  jobs: JobsApi | undefined;
  /** Aborts when the gateway has been told to stop. */
  drain: AbortSignal;
  log: Logger;
}
