import type { Flow } from '../flow/flow.js';
import { GATEWAY } from '../flow/graph.js';

/** The way of a request through a flow, as a Mermaid flowchart. */
export function flowchart(flow: Flow): string {
  const lines = ['flowchart LR', `  ${GATEWAY}([gateway])`];
  for (const { name, uses, replicas, shards, when } of flow.executors) {
    const parts = [`${replicas} x ${uses}`, ...(shards > 1 ? [`${shards} shards`] : []), ...(when ? ['when ...'] : [])];
    lines.push(`  ${id(name)}["${name}<br/>${escape(parts.join(', '))}"]`);
  }
  for (const { name, needs } of flow.graph.nodes) {
    for (const need of needs) lines.push(`  ${need === GATEWAY ? GATEWAY : id(need)} --> ${id(name)}`);
  }
  for (const end of flow.graph.ends) lines.push(`  ${id(end)} --> answer([answer])`);
  return `${lines.join('\n')}\n`;
}

/** Mermaid has keywords, such as `end`, that no node may be called. */
function id(name: string): string {
  return `executor_${name}`;
}

function escape(text: string): string {
  return text.replace(/["<>&]/g, (char) => `#${char.charCodeAt(0)};`);
}
