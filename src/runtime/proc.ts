import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { constants, getPriority, setPriority } from "node:os";

/** What Linux tells and takes about another process of ours. Elsewhere, and for a process that has ended, there is nothing to be had. */

/** Ticks of the clock that /proc counts processor time in; the same on every architecture that Linux runs Node on. */
const TICK_MS = 10;
/** The first to go when the machine is out of memory. */
const OOM_SCORE_ADJ = "1000";

/** Milliseconds that the main thread of the process has computed so far. */
export function mainThreadMs(pid: number): number | undefined {
  const text = read(`/proc/${pid}/task/${pid}/stat`);
  // The name of the program, in parentheses, may contain anything.
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields?.[11]) + Number(fields?.[12]);
  return Number.isFinite(ticks) ? ticks * TICK_MS : undefined;
}

/** Bytes of memory that the process occupies. */
export function residentBytes(pid: number): number | undefined {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? "")?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

/** Lowers the priority of all threads of a process, `by` below that of this one, and lets it be the first that is ended for want of memory. */
export function stepBack(pid: number, by: number): void {
  const priority = Math.min(constants.priority.PRIORITY_LOW, getPriority() + by);
  // Linux takes a priority for one thread at a time; later threads inherit it.
  for (const thread of threadsOf(pid)) ignoringEnd(() => setPriority(thread, priority));
  ignoringEnd(() => writeFileSync(`/proc/${pid}/oom_score_adj`, OOM_SCORE_ADJ));
}

function threadsOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return [pid]; // Not Linux, or gone.
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined; // Not Linux, or gone.
  }
}

/** A host does as well without, and one that has ended meanwhile is missed elsewhere. */
function ignoringEnd(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
  }
}
