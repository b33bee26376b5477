import { readFileSync } from 'node:fs';

/** Linux counts CPU time in these, whatever the machine (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** CPU time that a process, with all its threads, has used: utime and stime of proc(5). NaN on other systems. */
export function cpuSeconds(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold spaces; what follows it begins with the third field.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[14 - 3]) + Number(fields[15 - 3])) / TICKS_PER_SECOND;
  } catch {
    return NaN;
  }
}
