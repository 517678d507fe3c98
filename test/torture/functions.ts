import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildForPublish, type Built } from "../../src/cli/deploy/build-all.ts";

const CODE = new URL("function/index.ts", import.meta.url).pathname;

interface Setup {
  /** First level of the topics that wake it; `out` is what the first function passes on. */
  readonly from: "in" | "out" | "rare" | "light";
  /** Its messages are handled in the order of their key. */
  readonly inOrder: boolean;
  readonly manifest: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

// Devices without memory publish again what was not acknowledged, and only this says that it is the same.
const ONCE = "idempotency: { key: data.id, window: 30d }";
const LOOPS = { LOOP: "0.001" };

/** All run the same code, each in another way; the first passes on what the publishers send, and others count that. */
const SETUPS = {
  tally: { from: "in", inOrder: true, manifest: ["concurrency: 2", ONCE], env: { PASS_ON: "yes" } },
  echo: { from: "out", inOrder: true, manifest: ["concurrency: 2"] },
  loose: { from: "in", inOrder: false, manifest: ["order: relaxed", "concurrency: 3", ONCE], env: { ...LOOPS, TURNS: "5" } },
  alone: { from: "out", inOrder: true, manifest: ["isolation: process"], env: LOOPS },
  rare: { from: "rare", inOrder: true, manifest: ["concurrency: 2", "idle: 1s"] },
  light: { from: "light", inOrder: true, manifest: ["concurrency: 2"] },
} as const satisfies Record<string, Setup>;

export type FunctionName = keyof typeof SETUPS;
export const FUNCTION_NAMES = Object.keys(SETUPS) as FunctionName[];

export function setupOf(name: FunctionName): Setup {
  return SETUPS[name];
}

function manifestOf(name: FunctionName, build: number): string {
  const { from, manifest, env } = setupOf(name);
  const settings = { THROW: "0.004", LOOP: "0", TURNS: "0", PASS_ON: "no", BUILD: String(build), ...env };
  return `name: ${name}
api: 1
triggers: [{ mqtt: ${from}/+key, durable: ${from !== "light"} }]
key: key
retry: { attempts: 100, backoff: 10ms..50ms, maxAge: 30d }
permissions: { publish: ["out/#"], emit: [tallied] }
env: ${JSON.stringify(settings)}
${manifest.map((line) => `${line}\n`).join("")}`;
}

/** Builds a version from source, as `millrace publish` does; each build number makes another one. */
export async function buildVersion(folder: string, name: FunctionName, build: number): Promise<Built> {
  const source = join(folder, `${name}-${build}`);
  await mkdir(source, { recursive: true });
  await copyFile(CODE, join(source, "index.ts"));
  await writeFile(join(source, "function.yaml"), manifestOf(name, build));
  return buildForPublish(source);
}
