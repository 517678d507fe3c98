/** `npm run bench -- NAME`: a table, or with --json one object, on standard output; how it goes on standard error. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MillraceError } from "../src/core/errors.ts";
import { runAgainst } from "./against.ts";
import type { Benchmark } from "./benchmark.ts";
import { broker } from "./broker.ts";
import { Children } from "./children.ts";
import { coldstart } from "./coldstart.ts";
import { density } from "./density.ts";
import { idle } from "./idle.ts";
import { drain } from "./drain.ts";
import { fairness } from "./fairness.ts";
import { latency } from "./latency.ts";
import { type BenchOptions, parseOptions } from "./options.ts";
import { machine, type Report, table } from "./report.ts";
import { observability } from "./observability.ts";
import { reload } from "./reload.ts";
import { restart } from "./restart.ts";
import { state } from "./state.ts";
import { rules } from "./rules.ts";
import { triggers } from "./triggers.ts";
import { throughput } from "./throughput.ts";
import { wear } from "./wear.ts";
import { windows } from "./windows.ts";

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  throughput,
  latency,
  broker,
  coldstart,
  density,
  drain,
  fairness,
  idle,
  observability,
  reload,
  restart,
  state,
  rules,
  triggers,
  wear,
  windows,
};

/** Beside the data of `npm start`, so that it is the same disk; the folder for temporary files may be memory. */
const DATA = fileURLToPath(new URL("../.millrace/", import.meta.url));

async function run(name: string, benchmark: Benchmark, options: BenchOptions): Promise<Report> {
  mkdirSync(DATA, { recursive: true });
  const folder = mkdtempSync(join(DATA, "bench-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  await using children = new Children(folder);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      children.killNow();
      process.exit(130);
    });
  }
  const rows = options.against === "" ? await benchmark(options, children, folder) : await runAgainst(name, options, folder);
  return { bench: name, machine: machine(), rows };
}

try {
  const { name, options } = parseOptions(process.argv.slice(2), Object.keys(BENCHMARKS));
  const benchmark = BENCHMARKS[name];
  if (benchmark === undefined) throw new Error(`no benchmark ${name}`);
  const report = await run(name, benchmark, options);
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : table(report));
} catch (error) {
  if (!(error instanceof MillraceError)) throw error;
  process.stderr.write(`error ${error.code}: ${error.message}\n`);
  process.exitCode = error.code === "USAGE" ? 2 : 1;
}
