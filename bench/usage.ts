import { existsSync, readdirSync, readFileSync } from "node:fs";

/** What a process has used, from /proc. */
export interface Usage {
  /** User and system time in milliseconds. */
  readonly cpuMs: number;
  readonly rssBytes: number;
}

/** Label → processes. */
export type Processes = Readonly<Record<string, readonly number[]>>;

/** Linux counts the times in /proc in hundredths of a second, on every architecture. */
const TICK_MS = 10;
const PAGE_BYTES = 4_096;

/** Sums over each label's processes; empty where there is no /proc. Processes that are gone count nothing. */
export function usageOf(processes: Processes): Map<string, Usage> {
  const usages = new Map<string, Usage>();
  if (!existsSync("/proc/self/stat")) return usages;
  for (const [label, pids] of Object.entries(processes)) {
    const each = pids.map(usageOfProcess);
    usages.set(label, { cpuMs: sum(each.map(({ cpuMs }) => cpuMs)), rssBytes: sum(each.map(({ rssBytes }) => rssBytes)) });
  }
  return usages;
}

/** Bytes of memory that processes have: what is shared with others counted whole (`rss`), and by the share of each (`pss`). */
export function memoryOf(pids: readonly number[]): { readonly rss: number; readonly pss: number } {
  return { rss: sum(pids.map((pid) => mappedBytes(pid, "Rss"))), pss: sum(pids.map((pid) => mappedBytes(pid, "Pss"))) };
}

function mappedBytes(pid: number, field: string): number {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? 0) * 1_024;
  } catch {
    return 0; // It has ended, or this is not Linux.
  }
}

/** All processes that `pid` started, and those they started. */
export function descendantsOf(pid: number): number[] {
  if (!existsSync("/proc/self/stat")) return [];
  const parents = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), parent: Number(statFields(Number(name))[1] ?? 0) }));
  const below = (parent: number): number[] =>
    parents.filter((process) => process.parent === parent).flatMap((process) => [process.pid, ...below(process.pid)]);
  return below(pid);
}

/** Bytes that these processes would take on a machine of their own: what they map from files, the program above all, is there once. */
export function aloneBytes(pids: readonly number[]): number {
  const each = pids.map((pid) => {
    const text = statusOf(pid);
    const bytes = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? 0) * 1_024;
    return { own: bytes("RssAnon") + bytes("RssShmem"), files: bytes("RssFile") };
  });
  return sum(each.map(({ own }) => own)) + Math.max(0, ...each.map(({ files }) => files));
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "latin1");
  } catch {
    // It has ended between the listing and now.
    return "";
  }
}

function usageOfProcess(pid: number): Usage {
  const fields = statFields(pid);
  return { cpuMs: (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_MS, rssBytes: Number(fields[21] ?? 0) * PAGE_BYTES };
}

/** The fields of /proc/PID/stat from the state on, after the name, which may contain anything. */
function statFields(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    // It has ended between the listing and now.
    return [];
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
