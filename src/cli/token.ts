import { createHash, randomBytes } from 'node:crypto';

/** Makes a token: itself on stdout for its owner, and its entry for the tokens file. */
export function token(name: string): void {
  const secret = randomBytes(24).toString('base64url');
  const sha256 = createHash('sha256').update(secret).digest('hex');
  process.stdout.write(`token (give it to ${name}; it is shown this once): ${secret}\n`);
  process.stdout.write(`entry for the tokens file:\n  - name: ${JSON.stringify(name)}\n    sha256: ${sha256}\n`);
}
