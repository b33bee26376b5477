import { ClipflowError } from '../errors.js';
import { isRoundRobin, roundRobinDevices } from './devices.js';
import type { ExecutorConfig, Flow } from './flow.js';

/** The machine that a plan is for. */
export interface Machine {
  /** GPUs as CUDA numbers them; empty where there are none. */
  readonly gpus: readonly number[];
  /** The environment's own CUDA_VISIBLE_DEVICES, which holds for executors that set none. */
  readonly cudaVisibleDevices?: string;
}

/** Which processes run on one machine. */
export interface Plan {
  readonly gateway: ProcessSpec;
  readonly replicas: readonly ReplicaSpec[];
}

export interface ProcessSpec {
  /** For logs: `gateway`, `clip/rep-0`, `clip/shard-1/rep-0`. */
  readonly name: string;
  /** Laid over the environment of the process that starts it. */
  readonly env: Readonly<Record<string, string>>;
  /** Port of its metrics; absent where the flow asks for none. */
  readonly monitoringPort: number | undefined;
}

export interface ReplicaSpec extends ProcessSpec {
  /** Name of the executor. */
  readonly executor: string;
  readonly shard: number;
  readonly shards: number;
  /** Index among the replicas of its shard. */
  readonly replica: number;
  /** Replicas of this flow on the machine, this one included: divide threads by it. */
  readonly replicasOnMachine: number;
}

/**
 * Lays out a flow on one machine.
 * @throws INVALID_FLOW where metrics ports or GPUs do not suffice; DEVICE_UNAVAILABLE where `device: cuda` finds no GPU
 */
export function planFlow(flow: Flow, machine: Machine): Plan {
  const { monitoring, portMonitoring } = flow.gateway;
  const gateway = { name: 'gateway', env: {}, monitoringPort: monitoring ? portMonitoring : undefined };
  const ports = new MonitoringPorts(flow);
  const replicasOnMachine = flow.executors.reduce((sum, { replicas, shards }) => sum + replicas * shards, 0);
  const replicas = flow.executors.flatMap((executor) => {
    const devices = devicesOf(executor, machine);
    return Array.from({ length: executor.replicas * executor.shards }, (_, index): ReplicaSpec => {
      const [shard, replica] = [Math.floor(index / executor.replicas), index % executor.replicas];
      return {
        name: `${executor.name}${executor.shards > 1 ? `/shard-${shard}` : ''}/rep-${replica}`,
        executor: executor.name,
        shard,
        shards: executor.shards,
        replica,
        env: { ...withoutRoundRobin(executor.env), ...deviceEnv(devices, index, machine) },
        monitoringPort: executor.monitoring ? ports.take(executor, index) : undefined,
        replicasOnMachine,
      };
    });
  });
  return { gateway, replicas };
}

/**
 * Devices that the replicas of an executor take in turn; undefined where it asks for no round robin or none can be had.
 * Who says how many may share a GPU, and no more, asks for a round robin over all.
 */
function devicesOf(executor: ExecutorConfig, machine: Machine): string[] | undefined {
  const { replicasPerGpu, env } = executor;
  const visible =
    env.CUDA_VISIBLE_DEVICES ?? machine.cudaVisibleDevices ?? (replicasPerGpu === undefined ? undefined : 'RR');
  if (!isRoundRobin(visible)) return undefined;
  const { device } = executor.with;
  if (machine.gpus.length === 0) {
    if (typeof device !== 'string' || !device.startsWith('cuda')) return undefined;
    const message = `Executor ${executor.name} wants device ${device} and CUDA_VISIBLE_DEVICES=${visible}, but the machine has no GPU.`;
    throw new ClipflowError('DEVICE_UNAVAILABLE', message);
  }
  const devices = roundRobinDevices(visible, machine.gpus);
  const needed = Math.ceil((executor.replicas * executor.shards) / devices.length);
  if (replicasPerGpu === undefined || needed <= replicasPerGpu) return devices;
  throw new ClipflowError(
    'INVALID_FLOW',
    `Executor ${executor.name}: CUDA_VISIBLE_DEVICES=${visible} puts ${needed} replicas on one GPU, ` +
      `but replicas_per_gpu is ${replicasPerGpu}; lower replicas or raise it.`,
  );
}

function deviceEnv(devices: string[] | undefined, index: number, machine: Machine): Record<string, string> {
  const device = devices?.[index % devices.length];
  if (device !== undefined) return { CUDA_VISIBLE_DEVICES: device };
  // A child must not inherit an `RR`, which CUDA would take for the name of a device that is not there.
  return isRoundRobin(machine.cudaVisibleDevices) && machine.gpus.length === 0 ? { CUDA_VISIBLE_DEVICES: '' } : {};
}

function withoutRoundRobin(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter(([key, value]) => key !== 'CUDA_VISIBLE_DEVICES' || !isRoundRobin(value)),
  );
}

/** Gives each replica its port: those that the flow names, else the next free ones from the gateway's on. */
class MonitoringPorts {
  private readonly owners = new Map<number, string>();
  private next: number;

  constructor(flow: Flow) {
    this.next = flow.gateway.portMonitoring;
    if (flow.gateway.monitoring) this.claim(this.next, 'gateway');
    for (const executor of flow.executors) {
      if (!executor.monitoring || executor.portMonitoring.length === 0) continue;
      for (let index = 0; index < executor.replicas * executor.shards; index++) {
        this.claim(namedPort(executor, index), executor.name);
      }
    }
  }

  take(executor: ExecutorConfig, index: number): number {
    if (executor.portMonitoring.length > 0) return namedPort(executor, index);
    while (this.owners.has(this.next)) this.next++;
    this.claim(this.next, executor.name);
    return this.next;
  }

  private claim(port: number, name: string): void {
    const owner = this.owners.get(port);
    if (owner !== undefined) {
      const message = `port_monitoring ${port} is wanted by ${owner} and by ${name}; the replicas of an executor count on from its first port.`;
      throw new ClipflowError('INVALID_FLOW', message);
    }
    if (port > 65535) throw new ClipflowError('INVALID_FLOW', `port_monitoring of ${name} counts on past 65535.`);
    this.owners.set(port, name);
  }
}

function namedPort({ portMonitoring }: ExecutorConfig, index: number): number {
  const last = portMonitoring.at(-1) ?? 0;
  return portMonitoring[index] ?? last + index - portMonitoring.length + 1;
}
