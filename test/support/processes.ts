import { readFileSync } from "node:fs";

/** Host processes that a process has started, in the order of their start. */
export function hostsOf(parent: number): number[] {
  const pids = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("--permission");
    } catch {
      return false; // It has just ended.
    }
  });
}
