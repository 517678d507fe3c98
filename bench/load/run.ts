import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { type FleetResult, fleetResultSchema, type FleetWish, type LoadResult, loadResultSchema, type LoadWish } from "./protocol.ts";

export interface LoadObserver {
  /** The measured time begins; the load generator has this process id. */
  begin(pid: number): void;
  end(): void;
}

/** Runs the load generator once, in a process of its own. */
export function runLoad(options: LoadWish, observer: LoadObserver): Promise<LoadResult> {
  return run({ file: "main.ts", options, result: loadResultSchema }, observer);
}

/** Runs many devices once, in a process of their own. */
export function runFleet(options: FleetWish, observer: LoadObserver): Promise<FleetResult> {
  return run({ file: "fleet-main.ts", options, result: fleetResultSchema }, observer);
}

function run<T>(what: { file: string; options: object; result: z.ZodType<T> }, observer: LoadObserver): Promise<T> {
  const child = fork(fileURLToPath(new URL(what.file, import.meta.url)), [JSON.stringify(what.options)]);
  const pid = child.pid ?? 0;
  const told = z.object({ type: z.enum(["begin", "end", "result"]), result: what.result.optional() });
  let result: T | undefined;
  return new Promise((resolve, reject) => {
    child.on("message", (message) => {
      const report = told.parse(message);
      if (report.type === "begin") observer.begin(pid);
      else if (report.type === "end") observer.end();
      else result = report.result;
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      if (result !== undefined && code === 0) resolve(result);
      else reject(new Error(`the load generator ended with ${code ?? signal}`));
    });
  });
}
