import { homedir } from 'node:os';
import { join } from 'node:path';
import { ClipflowError } from '../../../src/errors.js';

/** How a Hugging Face hub is reached and where its files are kept; the variables are those of huggingface_hub. */
export interface HubSettings {
  /** Without a slash at the end. HF_ENDPOINT */
  endpoint: string;
  /** HF_TOKEN */
  token?: string;
  /** Only what is in the cache. HF_HUB_OFFLINE */
  offline: boolean;
  /** HF_HUB_CACHE, else `hub` in HF_HOME, else in `huggingface` in XDG_CACHE_HOME, else in ~/.cache. */
  cache: string;
}

/** @throws ClipflowError INVALID_CONFIG */
export function hubSettings(env: NodeJS.ProcessEnv = process.env): HubSettings {
  const endpoint = (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '');
  if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint)) {
    throw new ClipflowError('INVALID_CONFIG', `HF_ENDPOINT is "${endpoint}"; expected an http or https address`);
  }
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface');
  const token = env.HF_TOKEN?.trim();
  return {
    endpoint,
    ...(token ? { token } : {}),
    offline: ['1', 'ON', 'YES', 'TRUE'].includes((env.HF_HUB_OFFLINE ?? '').toUpperCase()),
    cache: env.HF_HUB_CACHE || join(home, 'hub'),
  };
}
