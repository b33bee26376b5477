import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate for 127.0.0.1 and localhost, signed by itself; `using` removes its files. */
export class Certificate implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'clipflow-tls-'));
  readonly cert = join(this.#folder, 'cert.pem');
  readonly key = join(this.#folder, 'key.pem');

  constructor() {
    const files = ['-out', this.cert, '-keyout', this.key];
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    execFileSync('openssl', ['req', ...kind, ...names, ...files], { stdio: 'ignore' });
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
