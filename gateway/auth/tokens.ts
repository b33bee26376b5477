import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { ClipflowError } from '../../src/errors.js';
import { WORKER_TOKEN } from '../../src/jobs/worker-token.js';
import type { Logger } from '../../src/telemetry/log.js';

const TokensFile = z.strictObject({
  tokens: z.array(
    z.strictObject({
      /** Who it was given to: shown in logs and metrics. */
      name: z.string().min(1),
      /** Hex SHA-256 of the token; the token itself stands nowhere. */
      sha256: z.string().regex(/^[0-9a-f]{64}$/i, 'expected 64 hex digits'),
      /** Documents that it may have waiting or being computed. Default: no limit of its own. */
      max_documents: z.int().min(1).optional(),
      /** May see and change what belongs to other callers: the queue page. */
      operator: z.boolean().default(false),
    }),
  ),
});

/** Who calls. */
export interface Caller {
  readonly name: string;
  /** Documents that it may have in the gateway at a time. */
  readonly maxDocuments: number;
  /** May see and change what belongs to others. */
  readonly operator: boolean;
  /** Documents that it has there. */
  documents: number;
}

interface Entry extends Caller {
  sha256: Buffer;
}

/** The caller of a server without tokens. */
const ANYONE: Caller = { name: 'anyone', maxDocuments: Infinity, operator: true, documents: 0 };

/** A worker whose job's owner is not known any more. */
const WORKER: Caller = { name: 'jobs', maxDocuments: Infinity, operator: false, documents: 0 };

const WATCH_MS = 1000;

/** Bearer tokens of a file, read again when it changes; without a file everyone may call. */
export class Tokens {
  #entries: Entry[] = [];
  readonly #workerToken = hashed(process.env[WORKER_TOKEN]);

  private constructor(
    private readonly path: string | undefined,
    private readonly log: Logger,
  ) {}

  /** @throws INVALID_CONFIG when the file cannot be read or is wrong */
  static load(path: string | undefined, log: Logger): Tokens {
    const tokens = new Tokens(path, log);
    if (path === undefined) return tokens;
    tokens.#entries = readTokens(path);
    // By polling: mounted Kubernetes secrets change by a swapped link, which file events miss.
    watchFile(path, { interval: WATCH_MS, persistent: false }, () => tokens.#reload(path));
    return tokens;
  }

  get required(): boolean {
    return this.path !== undefined;
  }

  /**
   * @param authorization the header: the token, as clip-client sends it, or `Bearer <token>`
   * @param onBehalfOf in whose name a worker asks; of no meaning from anyone else
   * @throws UNAUTHENTICATED when it is missing or unknown
   */
  check(authorization: string | undefined, onBehalfOf?: string): Caller {
    if (!this.required) return ANYONE;
    if (authorization === undefined || authorization === '') {
      throw new ClipflowError('UNAUTHENTICATED', 'a token is required: send it in the Authorization header');
    }
    const sha256 = createHash('sha256')
      .update(authorization.replace(/^Bearer /i, ''))
      .digest();
    if (this.#workerToken && timingSafeEqual(this.#workerToken, sha256)) {
      return this.#entries.find(({ name }) => name === onBehalfOf) ?? WORKER;
    }
    // Every entry is compared, so that the time tells nothing of which came close.
    const found = this.#entries.filter((entry) => timingSafeEqual(entry.sha256, sha256))[0];
    if (!found) throw new ClipflowError('UNAUTHENTICATED', 'this token is not known');
    return found;
  }

  close(): void {
    if (this.path !== undefined) unwatchFile(this.path);
  }

  #reload(path: string): void {
    try {
      this.#entries = readTokens(path);
      this.log.info({ event: 'tokens_reloaded', path, tokens: this.#entries.length });
    } catch (error) {
      this.log.error({ event: 'tokens_not_reloaded', path, reason: (error as Error).message });
    }
  }
}

function hashed(token: string | undefined): Buffer | undefined {
  return token === undefined || token === '' ? undefined : createHash('sha256').update(token).digest();
}

function readTokens(path: string): Entry[] {
  try {
    const { tokens } = TokensFile.parse(parse(readFileSync(path, 'utf8')));
    return tokens.map(({ name, sha256, max_documents = Infinity, operator }) => ({
      name,
      sha256: Buffer.from(sha256, 'hex'),
      maxDocuments: max_documents,
      operator,
      documents: 0,
    }));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
    throw new ClipflowError('INVALID_CONFIG', `the tokens file ${path} is not usable: ${why}`, { cause });
  }
}
