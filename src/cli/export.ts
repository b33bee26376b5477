import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { checkExecutor } from '../../executors/load.js';
import { servedBy } from '../../executors/published.js';
import { ClipflowError, toClipflowError } from '../errors.js';
import { compose } from '../export/compose.js';
import type { ExportedFile, FlowSource } from '../export/export.js';
import { flowchart } from '../export/flowchart.js';
import { kubernetes } from '../export/kubernetes.js';
import type { Flow } from '../flow/flow.js';
import { planFlow } from '../flow/plan.js';
import { VERSION } from '../version.js';
import { loadFlowWith } from './settings.js';

export interface ExportFlags {
  output?: string;
  image?: string;
  plan?: boolean;
  gpus?: number;
}

const TARGETS = {
  kubernetes,
  compose,
  flowchart: (flow: Flow): ExportedFile[] => [{ path: 'flow.mmd', text: flowchart(flow) }],
} satisfies Record<string, (flow: Flow, source: FlowSource) => ExportedFile[]>;

export async function exportFlow(target: string, path: string, flags: ExportFlags): Promise<void> {
  const { flow, stdin } = await loadFlowWith(path, {});
  if (flags.plan) {
    process.stdout.write(planText(flow, flags.gpus ?? 0));
    return;
  }
  if (!Object.hasOwn(TARGETS, target)) {
    throw new ClipflowError('INVALID_CONFIG', `"${target}": expected one of ${Object.keys(TARGETS).join(', ')}`);
  }
  checkExecutors(flow);
  const source = { text: stdin ?? readFileSync(path, 'utf8'), image: flags.image ?? `clipflow:${VERSION}` };
  const files = TARGETS[target as keyof typeof TARGETS](flow, source);
  const { output } = flags;
  if (output === undefined) {
    process.stdout.write(files.map(({ text }) => text).join('---\n'));
    return;
  }
  mkdirSync(output, { recursive: true });
  for (const file of files) writeFileSync(join(output, file.path), file.text);
  process.stdout.write(`${files.map((file) => join(output, file.path)).join('\n')}\n`);
}

/** What is deployed must find its executors as it would here: else every pod says so, and only then. */
function checkExecutors(flow: Flow): void {
  const folder = flow.file === undefined ? process.cwd() : dirname(flow.file);
  for (const executor of flow.executors) {
    try {
      checkExecutor(servedBy(executor).uses, folder);
    } catch (error) {
      const { code, message } = toClipflowError(error);
      throw new ClipflowError(code, `executor "${executor.name}": ${message}`, { cause: error });
    }
  }
}

/** Who runs where on a machine with so many GPUs. */
function planText(flow: Flow, gpus: number): string {
  const { gateway, replicas } = planFlow(flow, { gpus: Array.from({ length: gpus }, (_, index) => index) });
  const lines = [gateway.name, ...replicas.map(({ name, env }) => `${name}  ${env.CUDA_VISIBLE_DEVICES ?? '-'}`)];
  return `process  GPU\n${lines.join('\n')}\n`;
}
