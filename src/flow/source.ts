import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import type { Document, Node } from 'yaml';
import { substitute } from './substitute.js';
import { formatPath } from './problem.js';
import type { FlowPath, Problem } from './problem.js';

/** Past this many expansions of anchors a file is an attack ("billion laughs"), not a flow. */
const MAX_ALIASES = 100;

/** A place in the file, both counted from 1. */
interface Place {
  line: number;
  column: number;
}

interface Found {
  key: Node | undefined;
  value: Node | undefined;
  exact: boolean;
}

/** The text of a flow: its value with variables replaced, and the place of each part for messages. */
export class FlowSource {
  /** The flow as plain data; undefined when the text is not readable YAML. */
  readonly value: unknown;
  /** `line:column: message` of what is wrong with the YAML itself or its variables. */
  private readonly located: (Place & { text: string })[] = [];
  private readonly lines = new LineCounter();
  private readonly document: Document | undefined;
  private circular = false;

  constructor(
    private readonly label: string,
    text: string,
    env: NodeJS.ProcessEnv,
  ) {
    try {
      const document = parseDocument(text, { lineCounter: this.lines, prettyErrors: false, merge: true });
      for (const { pos, code, message } of document.errors) {
        const text = code === 'MULTIPLE_DOCS' ? 'expected one YAML document, found several' : message;
        this.located.push({ ...this.placeOf(pos[0]), text });
      }
      this.document = document;
      if (document.errors.length > 0) return;
      this.expand(document, env);
      if (this.circular) return;
      this.value = document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (error) {
      // The parser recurses, and toJS throws at aliases that multiply.
      const message = error instanceof Error ? error.message : String(error);
      this.located.push({ line: 1, column: 1, text: `the YAML cannot be read: ${message}` });
    }
  }

  /** The text of a scalar as it stands in the file, variables replaced: `1.10` where its value is 1.1. */
  textAt(path: FlowPath): string | undefined {
    const found = this.find(path);
    const node = this.resolve(found.value);
    if (!found.exact || !isScalar(node)) return undefined;
    return typeof node.value === 'string' ? node.value : (node.source ?? '');
  }

  /** All that is wrong in the order of the file, one `file:line:column: path: message` per line; undefined if nothing is. */
  report(problems: readonly Problem[]): string | undefined {
    // Where the text itself is wrong, what follows from it for the value is no news.
    const known = new Set(this.located.map(({ line, column }) => `${line}:${column}`));
    const found = problems.map((problem) => this.locate(problem));
    const all = [...this.located, ...found.filter(({ line, column }) => !known.has(`${line}:${column}`))];
    if (all.length === 0) return undefined;
    all.sort((a, b) => a.line - b.line || a.column - b.column);
    const rows = all.map(({ line, column, text }) => `${this.label}:${line}:${column}: ${text}`);
    return rows.length === 1 ? rows.join() : `${this.label} has ${rows.length} problems:\n${rows.join('\n')}`;
  }

  /** Replaces variables in values (never in keys), and reads Jina's older `!Flow` as `jtype: Flow`. */
  private expand(document: Document, env: NodeJS.ProcessEnv): void {
    visit(document, {
      Map: (_key, map) => {
        if (map.tag?.startsWith('!') && !map.has('jtype')) map.set('jtype', map.tag.slice(1));
      },
      // An alias can only point back, so that a circle is one that points at what holds it.
      Alias: (_key, alias, ancestors) => {
        const target = alias.resolve(document);
        if (target === undefined || !ancestors.includes(target)) return;
        this.circular = true;
        this.located.push({ ...this.placeOf(alias.range?.[0]), text: `*${alias.source} stands inside what it names` });
      },
      Scalar: (key, scalar) => {
        if (key === 'key' || typeof scalar.value !== 'string') return;
        const substituted = substitute(scalar.value, env);
        if (substituted === undefined) return;
        scalar.value = substituted.value;
        scalar.source = substituted.text;
        const place = this.placeOf(scalar.range?.[0]);
        for (const text of substituted.problems) this.located.push({ ...place, text });
      },
    });
  }

  private locate({ path, at, message }: Problem): Place & { text: string } {
    const found = this.find(path);
    const node = found.exact && at === 'key' ? (found.key ?? found.value) : (found.value ?? found.key);
    const where = formatPath(path);
    return { ...this.placeOf(node?.range?.[0]), text: where === '' ? message : `${where}: ${message}` };
  }

  /** The nodes at a path; where the file has none (a missing key, a merged one), those of the nearest that holds it. */
  private find(path: FlowPath): Found {
    let found: Found = { key: undefined, value: this.document?.contents ?? undefined, exact: true };
    for (const part of path) {
      const parent = this.resolve(found.value);
      if (isMap(parent)) {
        const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
        if (pair === undefined) return { ...found, exact: false };
        found = { key: asNode(pair.key), value: asNode(pair.value), exact: true };
      } else if (isSeq(parent) && typeof part === 'number' && part < parent.items.length) {
        found = { key: undefined, value: asNode(parent.items[part]), exact: true };
      } else return { ...found, exact: false };
    }
    return found;
  }

  private resolve(node: Node | undefined): Node | undefined {
    return isAlias(node) && this.document ? node.resolve(this.document) : node;
  }

  private placeOf(offset: number | undefined): Place {
    const { line, col } = this.lines.linePos(offset ?? 0);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }
}

function asNode(value: unknown): Node | undefined {
  return isNode(value) ? value : undefined;
}
