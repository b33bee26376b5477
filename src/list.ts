/**
 * Takes the first item that `matches` out of a list; undefined when none does.
 *
 * Short lists hold what comes and goes with each call. A Map or a Set that is filled and emptied all the time gets a new
 * table each time, and V8 lets each table point to the next: once one has grown old, a collection of young objects keeps
 * all later ones, and whatever calls left in them.
 */
export function takeFirst<T>(list: T[], matches: (item: T) => boolean): T | undefined {
  const index = list.findIndex(matches);
  return index < 0 ? undefined : list.splice(index, 1)[0];
}
