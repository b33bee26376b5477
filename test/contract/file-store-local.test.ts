import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileStoreContract } from './file-store-contract.js';

fileStoreContract('a folder', async () => {
  const location = mkdtempSync(join(tmpdir(), 'clipflow-files-'));
  return {
    location,
    leftovers: async () => readdirSync(join(location, '~writing')),
    stop: async () => rmSync(location, { recursive: true, force: true }),
  };
});
