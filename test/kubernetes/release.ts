import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { within } from '../support/until.js';
import { CHART, helm, kubectl, without } from './commands.js';

/** An image of this checkout that the cluster has; docker/ says how one is made. */
export const IMAGE = process.env.CLIPFLOW_TEST_IMAGE ?? '';
/** Why no release can be installed here; false where one can. */
export const skipRelease =
  without('helm') || without('cluster') || (IMAGE === '' && 'CLIPFLOW_TEST_IMAGE names no image');

/** How long the cluster may take for what is asked of it. */
const LIMIT_MS = 180_000;
const LOOK_MS = 300;

export interface Pod {
  metadata: { name: string; uid: string; labels: Record<string, string>; deletionTimestamp?: string };
  spec: {
    nodeName?: string;
    containers: { args: string[]; resources: Record<'limits' | 'requests', Record<string, string>> }[];
  };
  status: {
    phase: string;
    conditions?: { type: string; status: string; reason?: string; message?: string }[];
  };
}

export function isReady({ metadata, status }: Pod): boolean {
  const ready = status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True');
  return ready === true && metadata.deletionTimestamp === undefined;
}

/** The chart, installed as `x` in a namespace of its own; `await using` takes both away. */
export class Release implements AsyncDisposable {
  static #namespaces = 0;
  readonly namespace = `clipflow-test-${process.pid}-${++Release.#namespaces}`;

  static async create(): Promise<Release> {
    const release = new Release();
    await kubectl('create', 'namespace', release.namespace);
    await kubectl('label', 'namespace', release.namespace, 'pod-security.kubernetes.io/warn=restricted');
    return release;
  }

  /** In the release's namespace. */
  kubectl(...args: string[]): Promise<string> {
    return kubectl('--namespace', this.namespace, ...args);
  }

  helm(command: string, ...args: string[]): Promise<string> {
    return helm(command, 'x', ...args, '--namespace', this.namespace);
  }

  async install(...values: string[]): Promise<void> {
    await this.helm('install', CHART, ...imageValues(IMAGE), ...values);
  }

  /** Resolves once it runs. */
  async installed(...values: string[]): Promise<void> {
    await this.install('--wait', `--timeout=${LIMIT_MS / 1000}s`, ...values);
  }

  async rolledOut(...parts: string[]): Promise<void> {
    for (const part of parts) await this.kubectl('rollout', 'status', part, `--timeout=${LIMIT_MS / 1000}s`);
  }

  async pods(component: string): Promise<Pod[]> {
    const selector = `app.kubernetes.io/component=${component}`;
    return (JSON.parse(await this.kubectl('get', 'pods', '-l', selector, '-o', 'json')) as { items: Pod[] }).items;
  }

  /** The pods of a part, once `wanted` holds of them. */
  async podsWhen(component: string, wanted: (pods: Pod[]) => boolean, what: string): Promise<Pod[]> {
    let pods: Pod[] = [];
    const look = async (): Promise<Pod[]> => {
      while (!wanted((pods = await this.pods(component)))) await delay(LOOK_MS);
      return pods;
    };
    return within(look(), `${component}: ${what}`, LIMIT_MS).catch((error: unknown) => {
      throw new Error(`${String(error)}; pods: ${JSON.stringify(pods.map(({ status }) => status))}`);
    });
  }

  /** The gateway's Service at an address of this machine. */
  async gateway(): Promise<{ address: string } & AsyncDisposable> {
    const args = ['--namespace', this.namespace, 'port-forward', 'service/x-gateway', ':51000'];
    const child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await within(once(createInterface(child.stdout), 'line'), 'kubectl port-forward')) as [string];
    const port = /:(\d+) ->/.exec(line)?.[1];
    return {
      address: `http://127.0.0.1:${port}`,
      [Symbol.asyncDispose]: async () => {
        child.kill();
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.helm('uninstall', '--ignore-not-found').catch(() => {});
    await kubectl('delete', 'namespace', this.namespace, '--wait=false');
  }
}

/** Values that name an image, `repository:tag`. */
export function imageValues(image: string): string[] {
  const [repository = '', tag = ''] = image.split(':');
  return ['--set', `image.repository=${repository},image.tag=${tag}`];
}
