import { readdirSync, readFileSync } from "node:fs";

export interface ProcessInfo {
  readonly pid: number;
  /** Process group. */
  readonly group: number;
  readonly command: string;
}

/** All processes of this machine, from /proc. */
export function processTable(): ProcessInfo[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const [state = "", , group = ""] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      // A zombie is gone already, but for its parent taking note of it.
      if (state === "Z") return [];
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
      return [{ pid: Number(name), group: Number(group), command }];
    } catch {
      // It ended while it was looked at.
      return [];
    }
  });
}
