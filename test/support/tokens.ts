import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a caller shows, and what the file says of it beside. */
export type Token = string | { token: string; max_documents?: number; operator?: boolean };

/**
 * Writes a file of tokens by name, as `clipflow token` prints them: the hex SHA-256 of each.
 * @returns the environment that names it
 */
export function tokensFile(folder: string, tokens: Record<string, Token>): { CLIPFLOW_TOKENS_FILE: string } {
  const file = join(folder, 'tokens.yml');
  const entries = Object.entries(tokens).map(([name, of]) => {
    const { token, ...limits } = typeof of === 'string' ? { token: of } : of;
    return { name, ...limits, sha256: createHash('sha256').update(token).digest('hex') };
  });
  writeFileSync(file, JSON.stringify({ tokens: entries })); // JSON is YAML.
  return { CLIPFLOW_TOKENS_FILE: file };
}
