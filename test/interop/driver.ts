import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { z } from 'zod';
import { ROOT } from '../support/flow-process.js';
import { within } from '../support/until.js';

const DRIVER = join(ROOT, 'test/interop/driver.py');
const LIMIT_MS = 80_000;

const Line = z.object({
  url: z.string(),
  scenario: z.string(),
  result: z.unknown().optional(),
  error: z.object({ types: z.array(z.string()), message: z.string() }).optional(),
});

export interface DriverInput {
  urls: string[];
  /** Functions of driver.py. */
  scenarios: string[];
  texts?: string[];
  /** Paths. */
  images?: string[];
  /** For files that a scenario makes. */
  folder?: string;
  token?: string;
}

/** What came of the scenarios of one run of driver.py. */
export class Outcomes {
  #lines: z.output<typeof Line>[] = [];

  /** Runs every scenario against every url, one after the other, in one Python process. */
  static async of(python: string, input: DriverInput, env: Record<string, string> = {}): Promise<Outcomes> {
    const quiet = { NO_VERSION_CHECK: '1', JINA_OPTOUT_TELEMETRY: '1', JINA_LOG_LEVEL: 'CRITICAL' };
    const child = spawn(python, ['-W', 'ignore', DRIVER], { env: { ...process.env, ...quiet, ...env } });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    child.stdin.end(JSON.stringify(input));
    try {
      const [code] = (await within(once(child, 'close'), 'the Python client to end', LIMIT_MS)) as [number | null];
      if (code !== 0) throw new Error(`driver.py ended with ${code}`);
    } catch (cause) {
      child.kill('SIGKILL');
      throw new Error(`${(cause as Error).message}; it printed:\n${stdout.slice(-500)}\n${stderr.slice(-2000)}`, {
        cause,
      });
    }
    const outcomes = new Outcomes();
    outcomes.#lines = stdout
      .trim()
      .split('\n')
      .map((line) => Line.parse(JSON.parse(line)));
    return outcomes;
  }

  /** @throws what the Python client raised */
  result<T extends z.ZodType>(url: string, scenario: string, schema: T): z.output<T> {
    const { result, error } = this.#find(url, scenario);
    if (error) throw new Error(`${scenario} over ${url} raised ${error.types[0]}: ${error.message}`);
    return schema.parse(result);
  }

  /** What it raised: names of the class and its bases, nearest first. */
  error(url: string, scenario: string): { types: string[]; message: string } {
    const { result, error } = this.#find(url, scenario);
    if (!error) throw new Error(`${scenario} over ${url} raised nothing: ${JSON.stringify(result)?.slice(0, 200)}`);
    return error;
  }

  #find(url: string, scenario: string): z.output<typeof Line> {
    const line = this.#lines.find((one) => one.url === url && one.scenario === scenario);
    if (!line) throw new Error(`driver.py did not get to ${scenario} over ${url}`);
    return line;
  }
}
