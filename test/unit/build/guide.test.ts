import { execFile } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { buildFunction } from "../../../src/runtime/build/build.ts";
import { temporaryFolder } from "./folder.ts";

const ROOT = join(import.meta.dirname, "../../..");

interface Example {
  /** The file that the block stands for, from the fence: `ts index.ts`. */
  readonly file: string;
  readonly text: string;
}

/** The page for authors, and that of the standard library behind it. */
async function readPages(): Promise<string> {
  const pages = ["functions.md", "std.md"].map((page) => readFile(join(ROOT, "docs/guide", page), "utf8"));
  return (await Promise.all(pages)).join("\n");
}

/** The examples of the guide, each with the manifest that came last before it. */
async function readExamples(): Promise<{ manifest: string; module: Example }[]> {
  const guide = await readPages();
  const blocks = [...guide.matchAll(/^```(?:ts|yaml) (\S+)\n(.*?)^```$/gms)].map((match) => ({
    file: match[1] ?? "",
    text: match[2] ?? "",
  }));
  let manifest = "";
  return blocks.flatMap((block) => {
    if (block.file === "function.yaml") manifest = block.text;
    return block.file === "function.yaml" ? [] : [{ manifest, module: block }];
  });
}

describe("the guide", async () => {
  const examples = await readExamples();
  const functions = examples.filter(({ module }) => module.file === "index.ts");

  it("has examples, and every TypeScript block of it is one", async () => {
    const guide = await readPages();
    expect(functions.length).toBeGreaterThanOrEqual(3);
    expect(guide.match(/^```(ts|yaml)$/gm)).toBeNull();
  });

  it.each(functions)("builds example $#", async ({ manifest, module }) => {
    await using folder = await temporaryFolder({ "function.yaml": manifest, "index.ts": module.text });
    expect((await buildFunction(folder.path)).manifest.name).toBe(/^name: (.+)$/m.exec(manifest)?.[1]);
  });

  it("has examples without type errors", async () => {
    await using folder = await temporaryFolder({ "package.json": '{"type":"module"}' });
    await Promise.all(examples.map(({ module }, index) => writeExample(folder.path, index, module)));
    // The test of the first example stands apart in the text and belongs beside it.
    const test = examples.find(({ module }) => module.file === "index.test.ts");
    await writeFile(join(folder.path, "0/index.test.ts"), test?.module.text ?? "");
    await symlink(join(ROOT, "node_modules"), join(folder.path, "node_modules"));
    const paths = {
      millrace: [join(ROOT, "src/sdk/index.ts")],
      "millrace/std": [join(ROOT, "src/sdk/std.ts")],
      "millrace/testing": [join(ROOT, "src/sdk/testing.ts")],
    };
    const config = {
      extends: join(ROOT, "tsconfig.json"),
      compilerOptions: { paths, typeRoots: [join(ROOT, "node_modules/@types")] },
      include: ["**/*.ts"],
    };
    await writeFile(join(folder.path, "tsconfig.json"), JSON.stringify(config));
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, "-p", folder.path]).catch((error: { stdout: string }) => error);
    expect(stdout).toBe("");
  });

  it("has a test that passes", async () => {
    const [first] = functions;
    const test = examples.find(({ module }) => module.file === "index.test.ts");
    await using folder = await temporaryFolder({
      "function.yaml": first?.manifest ?? "",
      "index.ts": first?.module.text ?? "",
      "index.test.ts": test?.module.text ?? "",
    });
    const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
    const report = join(folder.path, "report.json");
    const args = [
      vitest,
      "run",
      "--config",
      join(folder.path, "vitest.config.ts"),
      "--root",
      folder.path,
      "--reporter=json",
      `--outputFile=${report}`,
    ];
    const alias = { "millrace/testing": join(ROOT, "src/sdk/testing.ts"), millrace: join(ROOT, "src/sdk/index.ts") };
    await writeFile(join(folder.path, "vitest.config.ts"), `export default { resolve: { alias: ${JSON.stringify(alias)} } };\n`);
    await symlink(join(ROOT, "node_modules"), join(folder.path, "node_modules"));
    await promisify(execFile)(process.execPath, args);
    expect(JSON.parse(await readFile(report, "utf8"))).toMatchObject({ numPassedTests: 1, numFailedTests: 0 });
  });
});

async function writeExample(folder: string, index: number, { file, text }: Example): Promise<void> {
  if (file !== "index.ts") return;
  await mkdir(join(folder, String(index)));
  await writeFile(join(folder, String(index), file), text);
}
