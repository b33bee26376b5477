import assert from 'node:assert/strict';
import { ClipflowError } from '../../../src/errors.js';
import { loadFlow } from '../../../src/flow/load.js';
import type { Flow } from '../../../src/flow/flow.js';

/** Loads the text as the file `f.yml`. */
export function load(text: string, env: NodeJS.ProcessEnv = {}): Flow {
  return loadFlow({ text, name: 'f.yml' }, env);
}

/** The lines of the message, without what says how many there are. */
export function problemsOf(text: string, env: NodeJS.ProcessEnv = {}): string[] {
  try {
    load(text, env);
  } catch (error) {
    assert.ok(error instanceof ClipflowError);
    assert.equal(error.code, 'INVALID_FLOW');
    return error.message.split('\n').filter((line) => !/has \d+ problems:$/.test(line));
  }
  return assert.fail('the flow was accepted');
}
