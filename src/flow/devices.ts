import { ClipflowError } from '../errors.js';

/** A round-robin setting of CUDA_VISIBLE_DEVICES: `RR` alone, or with a choice of devices behind it. */
const SLICE = /^RR(?:\[(-?\d*(?::-?\d*){1,2})\]|(-?\d*(?::-?\d*){1,2}))$/;
const LIST = /^RR(-?\d+(?:,-?\d+)*)$/;
const IDS = /^RR([A-Za-z][\w-]*(?:,[A-Za-z][\w-]*)*)$/;

export function isRoundRobin(visible: string | undefined): visible is string {
  return visible?.startsWith('RR') === true;
}

/** False for an `RR...` that `roundRobinDevices` cannot read. */
export function isReadable(visible: string): boolean {
  const slice = SLICE.exec(visible);
  if (slice !== null) return Number((slice[1] ?? slice[2] ?? '').split(':')[2] || 1) !== 0;
  return visible === 'RR' || LIST.test(visible) || IDS.test(visible);
}

/**
 * The devices that replicas take in turn, by Jina's rules: `RR` all, `RR0:2` a slice as Python cuts it (`[0:2]` too),
 * `RR1,3` or `RR2` single ones by their index on the machine, `RRGPU-uuid,...` by their names.
 * @param gpus devices of the machine as CUDA numbers them
 * @throws INVALID_FLOW where the setting is not readable, names a device that is not there, or leaves none
 */
export function roundRobinDevices(visible: string, gpus: readonly number[]): string[] {
  if (!isReadable(visible)) throw new ClipflowError('INVALID_FLOW', unreadable(visible));
  const devices = choose(visible, gpus);
  if (devices.length > 0) return devices;
  throw new ClipflowError(
    'INVALID_FLOW',
    `CUDA_VISIBLE_DEVICES=${visible} chooses none of the GPUs ${gpus.join(', ')}.`,
  );
}

export function unreadable(visible: string): string {
  return `expected RR, a slice like RR0:2, devices like RR1,3 or ids like RRGPU-1a2b,GPU-3c4d; found ${JSON.stringify(visible)}`;
}

function choose(visible: string, gpus: readonly number[]): string[] {
  const slice = SLICE.exec(visible);
  if (slice !== null) return pythonSlice(gpus, slice[1] ?? slice[2] ?? '').map(String);
  const ids = IDS.exec(visible)?.[1];
  if (ids !== undefined) return ids.split(',');
  const list = LIST.exec(visible)?.[1];
  if (list === undefined) return gpus.map(String);
  return list.split(',').map((index) => {
    const gpu = gpus.at(Number(index));
    if (gpu !== undefined) return String(gpu);
    const message = `CUDA_VISIBLE_DEVICES=${visible} names device ${index}; the machine has ${gpus.length} GPUs.`;
    throw new ClipflowError('INVALID_FLOW', message);
  });
}

/** `items[start:stop:step]`: negative bounds count from the end, bounds outside are clamped. */
function pythonSlice<T>(items: readonly T[], slice: string): T[] {
  const [start, stop, step = 1] = slice.split(':').map((part) => (part === '' ? undefined : Number(part)));
  const [lowest, highest] = step > 0 ? [0, items.length] : [-1, items.length - 1];
  const bound = (value: number | undefined, absent: number): number =>
    value === undefined ? absent : Math.min(Math.max(value < 0 ? items.length + value : value, lowest), highest);
  const from = bound(start, step > 0 ? lowest : highest);
  const to = bound(stop, step > 0 ? highest : lowest);
  const length = Math.max(0, Math.ceil((to - from) / step));
  return Array.from({ length }, (_, i) => from + i * step).flatMap((index) => items.slice(index, index + 1));
}
