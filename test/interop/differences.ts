/** One place where two JSON values differ; undefined is a field that is not there. */
export interface Difference {
  path: string;
  theirs: unknown;
  ours: unknown;
}

/** Every place where two JSON values differ, compared field by field. */
export function differences(theirs: unknown, ours: unknown, path = ''): Difference[] {
  if (isObject(theirs) && isObject(ours)) {
    const keys = new Set([...Object.keys(theirs), ...Object.keys(ours)]);
    return [...keys].flatMap((key) => differences(theirs[key], ours[key], `${path}.${key}`));
  }
  if (Array.isArray(theirs) && Array.isArray(ours) && theirs.length === ours.length) {
    return theirs.flatMap((value, index) => differences(value, ours[index], `${path}[${index}]`));
  }
  return Object.is(theirs, ours) ? [] : [{ path, theirs, ours }];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Rule {
  path: RegExp;
  reason: string;
  allows: (theirs: unknown, ours: unknown) => boolean;
}

const numbers = (...values: unknown[]): boolean => values.every((value) => Number.isFinite(value));
const texts = (...values: unknown[]): boolean => values.every((value) => typeof value === 'string' && value !== '');
const times = (...values: unknown[]): boolean =>
  values.every((value) => /^\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)$/.test(String(value)));
const absent = (_theirs: unknown, ours: unknown): boolean => ours === undefined || ours === '' || isEmpty(ours);

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** Values that another model, another time and another decoder make different; that they are there is compared. */
const VALUES: readonly Rule[] = [
  {
    path: /\.embedding\.dense\.buffer$/,
    reason: 'another model, as many bytes',
    allows: (a, b) => texts(a, b) && String(a).length === String(b).length,
  },
  { path: /\.embedding\[\d+\]$/, reason: 'another model', allows: numbers },
  { path: /\.scores\.\w+\.value$/, reason: 'another model', allows: numbers },
  { path: /\.routes\[\d\]\.(start|end)(_t|T)ime$/, reason: 'another time', allows: times },
  {
    path: /\.status\.(description|exception\.(name|args\[0\]))$/,
    reason: 'another decoder says it in its own words',
    allows: texts,
  },
];

/** Where we differ on purpose. */
export const DELIBERATE: readonly Rule[] = [
  {
    path: /^\.header\.requestId$/,
    reason: 'HTTP: the request id is kept, where the peer makes a new one, so that logs can be matched',
    allows: texts,
  },
  { path: /\.exception\.stacks$/, reason: 'a stack trace is nothing for callers', allows: absent },
  {
    path: /\.exception\.executor$/,
    reason: 'which class failed is our business; the description names the document',
    allows: absent,
  },
];

/** The differences that no rule allows. */
export function unexpected(theirs: unknown, ours: unknown): Difference[] {
  return differences(theirs, ours).filter(
    (one) =>
      ![...VALUES, ...DELIBERATE].some(({ path, allows }) => path.test(one.path) && allows(one.theirs, one.ours)),
  );
}
