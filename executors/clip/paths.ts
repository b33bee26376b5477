import type { Document } from '../../src/document/document.js';
import { ClipflowError } from '../../src/errors.js';

/** A document that is to be embedded, and the document of the request that it belongs to. */
export interface Leaf {
  doc: Document;
  root: number;
}

const PATH = /^@?(r|r?[cm]+)(,(r|r?[cm]+))*$/;

/**
 * The documents that DocArray's path names: `@r` those of the request, `@c` their chunks, `@m` their matches, `@cm` the
 * matches of their chunks, and several with commas. Each document once, in the order of the paths.
 */
export function selectLeaves(docs: readonly Document[], path: string): Leaf[] {
  const compact = path.replaceAll(' ', '');
  if (!PATH.test(compact)) {
    throw new ClipflowError(
      'INVALID_REQUEST',
      `access_paths "${path}": expected r, c and m as in "@r", "@c" or "@r,cm"`,
    );
  }
  const steps = compact.replace('@', '').split(',');
  const found = new Map<Document, Leaf>();
  for (const step of steps) {
    for (const leaf of follow(
      docs.map((doc, root) => ({ doc, root })),
      step.replace(/^r/, ''),
    )) {
      if (!found.has(leaf.doc)) found.set(leaf.doc, leaf);
    }
  }
  return [...found.values()];
}

function follow(leaves: readonly Leaf[], step: string): readonly Leaf[] {
  const [kind, ...rest] = step;
  if (kind === undefined) return leaves;
  const next = leaves.flatMap(({ doc, root }) =>
    (kind === 'c' ? doc.chunks : doc.matches).map((child) => ({ doc: child, root })),
  );
  return follow(next, rest.join(''));
}
