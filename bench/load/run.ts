import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type LoadOptions, loadReportSchema, type LoadResult } from "./protocol.ts";

export interface LoadRun extends LoadResult {
  readonly pid: number;
}

export interface LoadObserver {
  /** The measured time begins; the load generator has this process id. */
  begin(pid: number): void;
  end(): void;
}

/** Runs the load generator once, in a process of its own. */
export function runLoad(options: LoadOptions, observer: LoadObserver): Promise<LoadRun> {
  const child = fork(fileURLToPath(new URL("main.ts", import.meta.url)), [JSON.stringify(options)]);
  const pid = child.pid ?? 0;
  let result: LoadResult | undefined;
  return new Promise((resolve, reject) => {
    child.on("message", (message) => {
      const report = loadReportSchema.parse(message);
      if (report.type === "begin") observer.begin(pid);
      else if (report.type === "end") observer.end();
      else result = report.result;
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      if (result !== undefined && code === 0) resolve({ ...result, pid });
      else reject(new Error(`the load generator ended with ${code ?? signal}`));
    });
  });
}
