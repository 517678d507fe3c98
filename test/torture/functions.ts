import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildForPublish, type Built } from "../../src/cli/deploy/build-all.ts";

const CODE = new URL("function/index.ts", import.meta.url).pathname;

/** The first function counts what publishers send and passes it on to the second, which counts that. */
export const FUNCTION_NAMES = ["tally", "echo"] as const;
export type FunctionName = (typeof FUNCTION_NAMES)[number];

const manifestOf = (name: FunctionName, build: number): string => `name: ${name}
api: 1
triggers:
  - mqtt: ${name === "tally" ? "in" : "out"}/+key
key: key
concurrency: 2
${name === "tally" ? "idempotency: { key: data.id, window: 30d }" : ""}
retry: { attempts: 100, backoff: 10ms..50ms, maxAge: 30d }
permissions: { publish: ["out/#"], emit: [tallied] }
env: { THROW: "0.004", PASS_ON: "${name === "tally" ? "yes" : "no"}", BUILD: "${build}" }
`;

/** Builds a version from source, as `millrace publish` does; each build number makes another one. */
export async function buildVersion(folder: string, name: FunctionName, build: number): Promise<Built> {
  const source = join(folder, `${name}-${build}`);
  await mkdir(source, { recursive: true });
  await copyFile(CODE, join(source, "index.ts"));
  await writeFile(join(source, "function.yaml"), manifestOf(name, build));
  return buildForPublish(source);
}
