import { isScalar, isSeq, parseDocument } from 'yaml';

export interface Substituted {
  /** The value with each variable replaced, typed as YAML types it when it was nothing but one variable. */
  value: unknown;
  text: string;
  /** What is wrong with the variables; the value is of no use then. */
  problems: string[];
}

// One pass, so that what a variable holds is never expanded again: `$$`, `${{ ... }}`, `${...}`, `$NAME`.
const VARIABLE = /\$\$|\$\{\{([^}]*)\}\}|\$\{([^}]*)\}|\$([A-Za-z_]\w*)/g;
const NAME = /^[A-Za-z_]\w*$/;

/**
 * Replaces `${{ ENV.X }}` (Jina's spelling), `${X}` and `$X` in one value by environment variables; `$$` is a dollar.
 * Unlike Jina, which leaves an unknown variable as it stands, a missing one is a problem.
 * Returns undefined when the text names no variable.
 */
export function substitute(text: string, env: NodeJS.ProcessEnv): Substituted | undefined {
  if (text.search(VARIABLE) === -1) return undefined;
  const problems: string[] = [];
  const lookUp = (name: string): string => {
    const value = NAME.test(name) ? env[name] : undefined;
    if (value === undefined) problems.push(missing(name));
    return value ?? '';
  };
  const replaced = text.replace(VARIABLE, (match, expression?: string, braced?: string, plain?: string) => {
    if (expression !== undefined) {
      const name = /^ENV\.(\w+)$/i.exec(expression.trim())?.[1];
      if (name !== undefined) return lookUp(name);
      problems.push(`${match} is not supported; only environment variables are: \${{ ENV.NAME }}`);
      return '';
    }
    const name = braced ?? plain;
    return name === undefined ? '$' : lookUp(name.trim());
  });
  const only = text.match(VARIABLE)?.[0] === text.trim() && replaced !== '$';
  return { value: only ? retype(replaced) : replaced, text: replaced, problems };
}

function missing(name: string): string {
  if (!NAME.test(name)) return `${JSON.stringify(name)} is not the name of an environment variable`;
  return `the environment variable ${name} is not set; set it, or write $$ for a dollar sign`;
}

/** Numbers, booleans, null and flow lists as YAML reads them; anything else stays the text that it is. */
function retype(text: string): unknown {
  const document = parseDocument(text, { logLevel: 'silent' });
  const { contents } = document;
  if (document.errors.length > 0 || document.warnings.length > 0) return text;
  if (contents === null) return null;
  if (isSeq(contents) && contents.flow === true && contents.items.every((item) => isScalar(item)))
    return contents.toJSON();
  return isScalar(contents) && typeof contents.value !== 'string' ? contents.value : text;
}
