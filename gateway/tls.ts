import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { ClipflowError } from '../src/errors.js';
import type { GatewayConfig } from '../src/flow/flow.js';

/** Options of an HTTPS server whose port gRPC shares. */
export interface TlsOptions {
  cert: Buffer;
  key: Buffer;
  passphrase?: string;
  ALPNCallback: (offer: { protocols: string[] }) => string | undefined;
}

/**
 * @param password of the key, as `uvicorn_kwargs.ssl_keyfile_password` has it
 * @throws INVALID_CONFIG when a file cannot be read or is not what it should be
 */
export async function readTls(files: NonNullable<GatewayConfig['tls']>, password: unknown): Promise<TlsOptions> {
  const [cert, key] = await Promise.all([
    readPem(files.certFile, 'ssl_certfile'),
    readPem(files.keyFile, 'ssl_keyfile'),
  ]);
  const options = { cert, key, ...(typeof password === 'string' ? { passphrase: password } : {}) };
  try {
    createSecureContext(options);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ClipflowError(
      'INVALID_CONFIG',
      `${files.certFile} and ${files.keyFile} are no certificate and its key: ${why}`,
      {
        cause,
      },
    );
  }
  return { ...options, ALPNCallback: chooseProtocol };
}

/** gRPC clients offer HTTP/2 alone; browsers offer both, and are served by HTTP/1. */
function chooseProtocol({ protocols }: { protocols: string[] }): string | undefined {
  return ['http/1.1', 'h2'].find((name) => protocols.includes(name));
}

async function readPem(path: string, setting: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ClipflowError('INVALID_CONFIG', `with.${setting}: ${why}`, { cause });
  }
}
