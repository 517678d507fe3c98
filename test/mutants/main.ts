/**
 * `npm run mutants [-- --only TEXT] [--markdown]`: breaks one promise at a time in a copy of the source and expects the crash tests, or else a short torture,
 * to notice. A table on standard output; exit code 1 when something was not noticed or a mutation does not fit the source any more.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { mutated, type Mutation, MUTATIONS } from "./mutations.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const COPIED = ["src", "test", "bin", "package.json", "tsconfig.json", "vitest.config.ts"];
const CHECKS = [
  { name: "crash tests", command: ["vitest", "run", "--project", "fault", "test/fault/crash"] },
  { name: "torture", command: ["node", "test/torture/main.ts", "--seed", "1", "--minutes", "0.5", "--rate", "40"] },
] as const;

interface Row {
  readonly name: string;
  readonly noticedBy: string;
  readonly seconds: number;
  readonly well: boolean;
}

async function copyOfSource(): Promise<string> {
  // Inside the project, so that its packages are found from there.
  await mkdir(join(ROOT, ".millrace"), { recursive: true });
  const folder = await mkdtemp(join(ROOT, ".millrace", "mutant-"));
  for (const name of COPIED) await cp(join(ROOT, name), join(folder, name), { recursive: true });
  return folder;
}

/** False when it does not fit the source. */
async function apply(folder: string, mutation: Mutation): Promise<boolean> {
  const path = join(folder, mutation.file);
  const changed = mutated(await readFile(path, "utf8"), mutation);
  if (changed !== undefined) await writeFile(path, changed);
  return changed !== undefined;
}

async function passes(folder: string, command: readonly string[]): Promise<boolean> {
  const [name = "", ...parameters] = command;
  const child = spawn(name, parameters, { cwd: folder, stdio: "ignore" });
  const [code] = (await once(child, "exit")) as [number | null];
  return code === 0;
}

/** Undefined is the source as it is, on which everything has to pass. */
async function examine(mutation: Mutation | undefined): Promise<Row> {
  const startedAt = performance.now();
  const row = (noticedBy: string, well: boolean): Row => ({
    name: mutation?.name ?? "nothing is broken",
    noticedBy,
    well,
    seconds: (performance.now() - startedAt) / 1_000,
  });
  const folder = await copyOfSource();
  try {
    if (mutation !== undefined && !(await apply(folder, mutation))) return row(`does not fit ${mutation.file} any more`, false);
    for (const { name, command } of CHECKS) if (!(await passes(folder, command))) return row(name, mutation !== undefined);
    return row("nobody", mutation === undefined);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function line({ name, noticedBy, seconds, well }: Row, markdown: boolean): string {
  if (markdown) return `| ${name} | ${well ? noticedBy : `**${noticedBy}**`} |\n`;
  return `${well ? "ok    " : "FAILED"}  ${name.padEnd(72)}  ${noticedBy.padEnd(16)}  ${seconds.toFixed(0)} s\n`;
}

const FLAGS = { only: { type: "string", default: "" }, markdown: { type: "boolean", default: false } } as const;
const { values } = parseArgs({ options: FLAGS });
const mutations = MUTATIONS.filter(({ name }) => name.includes(values.only));
let well = true;
for (const mutation of [undefined, ...mutations]) {
  const row = await examine(mutation);
  well &&= row.well;
  process.stdout.write(line(row, values.markdown));
}
process.exitCode = well ? 0 : 1;
