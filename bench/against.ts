import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { MillraceError } from "../src/core/errors.ts";
import type { BenchOptions } from "./options.ts";
import { median, type Row, row } from "./report.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

const reportSchema = z.object({ rows: z.array(z.object({ what: z.string(), value: z.number(), unit: z.string() })) });

interface Compared {
  readonly unit: string;
  readonly here: number[];
  readonly there: number[];
}

/**
 * Runs the benchmark `name` of this checkout and of `options.against` in turn, once each in every round and the other one first in every second, so that
 * a slow minute of the machine hits both. Each row is followed by its ratio to the other's; rows that only one of them has are left out.
 * @throws MillraceError USAGE when there is no such commit
 */
export async function runAgainst(name: string, options: BenchOptions, folder: string): Promise<Row[]> {
  const there = checkOut(options.against, join(folder, "against"));
  try {
    const rows = new Map<string, Compared>();
    for (let round = 1; round <= options.rounds; round++) {
      for (const checkout of round % 2 === 1 ? [ROOT, there] : [there, ROOT]) {
        process.stderr.write(`round ${round}: ${checkout === ROOT ? "this checkout" : options.against}\n`);
        add(rows, await run(checkout, name, options), checkout === ROOT ? "here" : "there");
      }
    }
    return [...rows].flatMap(([what, compared]) => rowsOf(what, compared, options.against));
  } finally {
    execFileSync("git", ["worktree", "remove", "--force", there], { cwd: ROOT });
  }
}

function checkOut(revision: string, folder: string): string {
  try {
    execFileSync("git", ["worktree", "add", "--quiet", "--detach", folder, revision], { cwd: ROOT, stdio: ["ignore", "ignore", "pipe"] });
  } catch (cause) {
    throw new MillraceError("USAGE", `--against ${revision}: git knows no such commit here`, { cause });
  }
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  return folder;
}

async function run(checkout: string, name: string, options: BenchOptions): Promise<Row[]> {
  const { seconds, warmUp, topics, window, events, only } = options;
  const flags = Object.entries({ seconds, "warm-up": warmUp, topics, window, events, only }).map(([flag, value]) => `--${flag}=${value}`);
  const parameters = [join(checkout, "bench", "main.ts"), name, "--json", "--rounds=1", ...flags];
  const child = spawn(process.execPath, parameters, { cwd: checkout, stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const output = await text(child.stdout);
  const [code, signal]: unknown[] = await exited;
  if (code !== 0) throw new Error(`the benchmark in ${checkout} ended with ${String(code ?? signal)}`);
  return reportSchema.parse(JSON.parse(output)).rows;
}

function add(all: Map<string, Compared>, rows: readonly Row[], side: "here" | "there"): void {
  for (const { what, value, unit } of rows) {
    const compared = all.get(what) ?? { unit, here: [], there: [] };
    compared[side].push(value);
    all.set(what, compared);
  }
}

function rowsOf(what: string, { unit, here, there }: Compared, revision: string): Row[] {
  if (here.length === 0 || there.length === 0) return [];
  const other = median(there);
  return [row(what, median(here), unit), ...(other === 0 ? [] : [row(`${what}: of ${revision}`, median(here) / other, "×")])];
}
