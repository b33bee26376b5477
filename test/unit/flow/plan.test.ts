import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { roundRobinDevices } from '../../../src/flow/devices.js';
import { loadFlow } from '../../../src/flow/load.js';
import { planFlow } from '../../../src/flow/plan.js';
import type { Machine } from '../../../src/flow/plan.js';

const machineWith = (gpus: number): Machine => ({ gpus: Array.from({ length: gpus }, (_, index) => index) });

function plan(executors: string, machine: Machine = { gpus: [] }, settings = '{}') {
  return planFlow(loadFlow({ text: `with: ${settings}\nexecutors: [${executors}]` }, {}), machine);
}

function devices(executor: string, machine: Machine): (string | undefined)[] {
  return plan(executor, machine).replicas.map(({ env }) => env.CUDA_VISIBLE_DEVICES);
}

describe('round robin', () => {
  // What Jina 3.15.2's Deployment._parse_devices answers.
  const text = readFileSync(new URL('../../../../test/unit/flow/fixtures/devices.json', import.meta.url), 'utf8');
  const rows = z
    .array(z.object({ spec: z.string(), gpus: z.number(), devices: z.array(z.string()) }))
    .parse(JSON.parse(text));

  test('chooses the devices that Jina chooses', () => {
    for (const { spec, gpus, devices } of rows.filter((row) => row.devices.length > 0)) {
      assert.deepEqual(roundRobinDevices(spec, machineWith(gpus).gpus), devices, `${spec} of ${gpus}`);
    }
  });

  test('an empty choice, a device that is not there and what cannot be read are errors', () => {
    for (const { spec, gpus } of rows.filter((row) => row.devices.length === 0)) {
      assert.throws(
        () => roundRobinDevices(spec, machineWith(gpus).gpus),
        { code: 'INVALID_FLOW' },
        `${spec} of ${gpus}`,
      );
    }
    assert.throws(() => roundRobinDevices('RR1,4', [0, 1]), {
      message: 'CUDA_VISIBLE_DEVICES=RR1,4 names device 4; the machine has 2 GPUs.',
    });
    for (const spec of ['RR0:2:0', 'RRa:b', 'RR1,a', 'RR 1']) {
      assert.throws(() => roundRobinDevices(spec, [0, 1]), { code: 'INVALID_FLOW' }, spec);
    }
  });

  test('the tables of the published manual: 3 GPUs, 5 replicas', () => {
    const executor = (rr: string): string => `{uses: x, replicas: 5, env: {CUDA_VISIBLE_DEVICES: '${rr}'}}`;
    assert.deepEqual(devices(executor('RR'), machineWith(3)), ['0', '1', '2', '0', '1']);
    assert.deepEqual(devices(executor('RR0:2'), machineWith(3)), ['0', '1', '0', '1', '0']);
    assert.deepEqual(devices(executor('RR1,2'), machineWith(3)), ['1', '2', '1', '2', '1']);
    const { replicas } = plan('{uses: x, replicas: 5}', { ...machineWith(3), cudaVisibleDevices: 'RR' });
    assert.deepEqual(
      replicas.map(({ env }) => env.CUDA_VISIBLE_DEVICES),
      ['0', '1', '2', '0', '1'],
    );
  });

  test('1 to 8 GPUs carry as many replicas each, to within one; without RR nothing is set', () => {
    for (let gpus = 1; gpus <= 8; gpus++) {
      const placed = devices('{uses: x, replicas: 3, shards: 3, env: {CUDA_VISIBLE_DEVICES: RR}}', machineWith(gpus));
      const counts = machineWith(gpus).gpus.map((gpu) => placed.filter((device) => device === String(gpu)).length);
      assert.equal(
        counts.reduce((a, b) => a + b),
        9,
      );
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join());
      assert.deepEqual(devices('{uses: x, replicas: 2}', machineWith(gpus)), [undefined, undefined]);
      assert.deepEqual(devices("{uses: x, env: {CUDA_VISIBLE_DEVICES: '0,1'}}", machineWith(gpus)), ['0,1']);
    }
  });

  test('without a GPU it is left out, unless the device is cuda', () => {
    const env = 'env: {CUDA_VISIBLE_DEVICES: RR, A: b}';
    assert.deepEqual(plan(`{uses: x, ${env}}`).replicas[0]?.env, { A: 'b' });
    assert.deepEqual(plan('{uses: x}', { gpus: [], cudaVisibleDevices: 'RR' }).replicas[0]?.env, {
      CUDA_VISIBLE_DEVICES: '',
    });
    assert.throws(() => plan(`{name: clip, uses: x, uses_with: {device: cuda}, ${env}}`), {
      code: 'DEVICE_UNAVAILABLE',
      message: 'Executor clip wants device cuda and CUDA_VISIBLE_DEVICES=RR, but the machine has no GPU.',
    });
  });

  test('replicas_per_gpu is a cap', () => {
    const executor = '{name: c, uses: x, replicas: 5, replicas_per_gpu: 2, env: {CUDA_VISIBLE_DEVICES: RR}}';
    assert.equal(plan(executor, machineWith(3)).replicas.length, 5);
    assert.throws(() => plan(executor, machineWith(2)), {
      code: 'INVALID_FLOW',
      message: /puts 3 replicas on one GPU/,
    });
  });

  test('replicas_per_gpu alone fills 1 to 8 GPUs in turn, and says when they do not suffice', () => {
    for (let gpus = 1; gpus <= 8; gpus++) {
      const executor = (replicas: number): string => `{name: c, uses: x, replicas_per_gpu: 3, replicas: ${replicas}}`;
      const placed = devices(executor(3 * gpus), machineWith(gpus));
      for (const gpu of machineWith(gpus).gpus) {
        assert.equal(placed.filter((device) => device === String(gpu)).length, 3);
      }
      assert.throws(() => plan(executor(3 * gpus + 1), machineWith(gpus)), /puts 4 replicas on one GPU/);
    }
    assert.deepEqual(devices('{uses: x, replicas_per_gpu: 3}', machineWith(0)), [undefined]);
    assert.throws(() => plan('{name: c, uses: x, replicas_per_gpu: 3, uses_with: {device: cuda}}', machineWith(0)), {
      code: 'DEVICE_UNAVAILABLE',
    });
  });
});

describe('planFlow', () => {
  test('processes of shards and replicas', () => {
    const { gateway, replicas } = plan(
      '{name: a, uses: x, shards: 2, replicas: 2}, {name: b, uses: x}, {name: c, uses: x, replicas: 0}',
    );
    assert.deepEqual(gateway, { name: 'gateway', env: {}, monitoringPort: undefined });
    assert.deepEqual(
      replicas.map(({ name, executor, shard, shards, replica, replicasOnMachine }) => [
        name,
        executor,
        shard,
        shards,
        replica,
        replicasOnMachine,
      ]),
      [
        ['a/shard-0/rep-0', 'a', 0, 2, 0, 5],
        ['a/shard-0/rep-1', 'a', 0, 2, 1, 5],
        ['a/shard-1/rep-0', 'a', 1, 2, 0, 5],
        ['a/shard-1/rep-1', 'a', 1, 2, 1, 5],
        ['b/rep-0', 'b', 0, 1, 0, 5],
      ],
    );
  });

  test('ports of the metrics: named ones count on, the others take the next free ones', () => {
    const ports = (executors: string, settings?: string): (number | undefined)[] => {
      const { gateway, replicas } = plan(executors, { gpus: [] }, settings);
      return [gateway.monitoringPort, ...replicas.map(({ monitoringPort }) => monitoringPort)];
    };
    assert.deepEqual(
      ports('{uses: x, monitoring: true, port_monitoring: 9091, replicas: 3}', '{monitoring: true}'),
      [9090, 9091, 9092, 9093],
    );
    assert.deepEqual(ports('{uses: x, monitoring: true, port_monitoring: [5, 8], replicas: 3}'), [undefined, 5, 8, 9]);
    assert.deepEqual(
      ports(
        '{uses: x, replicas: 2}, {uses: x, port_monitoring: 9091}, {uses: x, monitoring: false}',
        '{monitoring: true}',
      ),
      [9090, 9092, 9093, 9091, undefined],
    );
  });

  test('ports of the metrics that collide or run out are errors', () => {
    const executors =
      '{name: a, uses: x, port_monitoring: 9091, replicas: 2}, {name: b, uses: x, port_monitoring: 9092}';
    assert.throws(() => plan(executors, { gpus: [] }, '{monitoring: true}'), {
      code: 'INVALID_FLOW',
      message: /^port_monitoring 9092 is wanted by a and by b/,
    });
    assert.throws(() => plan('{uses: x, port_monitoring: 65535, replicas: 2, monitoring: true}'), {
      code: 'INVALID_FLOW',
      message: /past 65535/,
    });
  });
});
