import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { z } from 'zod';
import { textSample } from '../../../../executors/clip/model/feeds.js';
import { createSession, type Session, type SessionOptions } from '../../../../executors/clip/model/session.js';

// From dist/test/unit/clip/model/ to the checkout.
const root = fileURLToPath(new URL('../../../../../', import.meta.url));
const fixtures = join(root, 'test/unit/clip/model/fixtures');

export const tinyClip = join(root, 'models/tiny-clip');
export const vitB32 = join(root, 'models/vit-b-32-synthetic');
export const fixture = (name: string) => join(fixtures, name);

const numbers = z.array(z.number());

/** What numpy answers for the graphs in fixtures/, see make.py. */
export const expected = z
  .object({
    text: z.object({ ids: z.array(numbers), padId: z.number(), embeddings: z.array(numbers) }),
    image: z.object({ pixels: numbers, embeddings: z.array(numbers) }),
    float16: z.object({ floats: numbers, bits: numbers }),
    decoded: numbers,
  })
  .parse(JSON.parse(await readFile(fixture('expected.json'), 'utf8')));

/** Token ids and embeddings by Python's onnxruntime. */
export const reference = z
  .object({ texts: z.array(z.object({ ids: numbers, norm: z.number(), first16: numbers })) })
  .parse(JSON.parse(await readFile(join(tinyClip, 'reference.json'), 'utf8')));

export const referenceIds = reference.texts.map(({ ids }) => Int32Array.from(ids));

/** Tokens that OpenAI's text towers take. */
export const CONTEXT = 77;

export const silent = pino({ level: 'silent' });

/** A session with two threads on the CPU, closed when the test ends. */
export async function openSession(
  t: TestContext,
  options: Pick<SessionOptions, 'path'> & Partial<SessionOptions>,
): Promise<Session> {
  const defaults = { device: 'cpu', intraOpNumThreads: 2, sample: textSample(CONTEXT), log: silent };
  const session = await createSession({ ...defaults, ...options });
  t.after(() => session.close());
  return session;
}

/** A folder of `files`: a path to link to, or what to write as JSON. Removed when the test ends. */
export async function makeFolder(t: TestContext, files: Record<string, string | object>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'clipflow-model-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    if (typeof content === 'string') await symlink(content, path);
    else await writeFile(path, JSON.stringify(content));
  }
  return folder;
}

export const norm = (values: ArrayLike<number>) => Math.hypot(...Array.from(values));
