import { VERSION } from '../src/version.js';

/** What the published `/status` says of the server and its surroundings. */
export function about(): { jina: Record<string, string>; envs: Record<string, string> } {
  const { platform, arch, versions, pid } = process;
  return {
    jina: { clipflow: VERSION, node: versions.node, platform, architecture: arch, pid: String(pid) },
    envs: {},
  };
}
