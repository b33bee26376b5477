import { ClipflowError } from '../errors.js';
import { suggest } from './problem.js';

/** What stands for the caller in `needs`; no executor may have its name. */
export const GATEWAY = 'gateway';

export interface FlowNode {
  readonly name: string;
  /** Never empty: executors, and `gateway` for what comes from the caller as it was sent. */
  readonly needs: readonly string[];
}

export interface FlowGraph {
  /** In topological order; nodes that could go at the same time keep the order of the file. */
  readonly nodes: readonly FlowNode[];
  /** Leaves, in the same order: what they answer is joined into the answer to the caller. */
  readonly ends: readonly string[];
}

export interface GraphProblem {
  /** Index of the executor in the list. */
  index: number;
  field: 'name' | 'needs';
  /** Which of several needs. */
  need?: number;
  message: string;
}

/** An executor without `needs` follows the one before it in the list, the first one the gateway (as in Jina). */
export function resolveNeeds(executors: readonly { name: string; needs: readonly string[] }[]): FlowNode[] {
  return executors.map(({ name, needs }, index) => ({
    name,
    needs: needs.length > 0 ? [...new Set(needs)] : [executors[index - 1]?.name ?? GATEWAY],
  }));
}

/**
 * The graph of the executors' `needs`: pipelines, forks and joins.
 * @throws INVALID_FLOW for a duplicate, reserved or unknown name, or a cycle
 */
export function buildGraph(executors: readonly { name: string; needs: readonly string[] }[]): FlowGraph {
  const problem = graphProblems(executors)[0];
  if (problem !== undefined) {
    throw new ClipflowError('INVALID_FLOW', `executors[${problem.index}].${problem.field}: ${problem.message}`);
  }
  const { sorted: nodes } = sort(resolveNeeds(executors));
  const needed = new Set(nodes.flatMap((node) => node.needs));
  return { nodes, ends: nodes.map((node) => node.name).filter((name) => !needed.has(name)) };
}

/** All that is wrong with the names and needs of the executors. */
export function graphProblems(executors: readonly { name: string; needs: readonly string[] }[]): GraphProblem[] {
  const problems: GraphProblem[] = [];
  const first = new Map<string, number>();
  for (const [index, { name }] of executors.entries()) {
    const field = 'name';
    if (name === GATEWAY)
      problems.push({ index, field, message: `${JSON.stringify(GATEWAY)} is reserved for the gateway` });
    const same = first.get(name);
    if (same === undefined) first.set(name, index);
    else problems.push({ index, field, message: `${JSON.stringify(name)} is the name of executors[${same}] already` });
  }
  for (const [index, { needs }] of executors.entries()) {
    for (const [need, name] of needs.entries()) {
      if (name === GATEWAY || first.has(name)) continue;
      const message = `no executor has the name ${JSON.stringify(name)}${suggest(name, [...first.keys(), GATEWAY])}`;
      problems.push({ index, field: 'needs', need, message });
    }
  }
  if (problems.length > 0) return problems;
  const { left } = sort(resolveNeeds(executors));
  const cycle = findCycle(left);
  const index = executors.findIndex(({ name }) => name === cycle[0]);
  if (index >= 0) problems.push({ index, field: 'needs', message: `a cycle: ${cycle.join(' needs ')}` });
  return problems;
}

/** Kahn's algorithm; what is left over stands on a cycle or behind one. */
function sort(nodes: readonly FlowNode[]): { sorted: FlowNode[]; left: FlowNode[] } {
  const sorted: FlowNode[] = [];
  const done = new Set([GATEWAY]);
  let left = [...nodes];
  for (;;) {
    const next = left.find((node) => node.needs.every((need) => done.has(need)));
    if (next === undefined) return { sorted, left };
    sorted.push(next);
    done.add(next.name);
    left = left.filter((node) => node !== next);
  }
}

/** Follows needs that are left over until a name comes again: `[a, b, a]`. */
function findCycle(left: readonly FlowNode[]): string[] {
  const byName = new Map(left.map((node) => [node.name, node]));
  const walked: string[] = [];
  let name = left[0]?.name;
  while (name !== undefined && !walked.includes(name)) {
    walked.push(name);
    name = byName.get(name)?.needs.find((need) => byName.has(need));
  }
  return name === undefined ? [] : [...walked.slice(walked.indexOf(name)), name];
}
