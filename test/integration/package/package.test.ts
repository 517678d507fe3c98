import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const run = promisify(execFile);
const root = new URL("../../../", import.meta.url).pathname;

describe("the published package", () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "millrace-package-"));
    for (const part of ["package.json", "bin", "functions", "scripts/setup.mjs"])
      await cp(join(root, part), join(folder, part), { recursive: true });
    // Links instead of folders, as some package managers lay them out.
    await mkdir(join(folder, "node_modules"));
    for (const name of await readdir(join(root, "node_modules")))
      await symlink(join(root, "node_modules", name), join(folder, "node_modules", name));
    const tsc = join(root, "node_modules/.bin/tsc");
    await run(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json"), "--outDir", join(folder, "dist")]);
  }, 120_000);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it("runs a function in a host process from compiled JavaScript", async () => {
    const payload = ["--topic", "sensors/milan/t1/temp", "--payload", '{"v": 91}', "--json"];
    const { stdout } = await run(process.execPath, [
      join(folder, "bin/millrace.mjs"),
      "invoke",
      join(folder, "functions/threshold-alert"),
      ...payload,
    ]);
    const result: unknown = JSON.parse(stdout);
    expect(result).toMatchObject({ ok: true, publishes: [{ topic: "cmd/milan/t1/fan", payload: '{"on":true}' }] });
  });

  it("offers what function authors import", async () => {
    const script = 'const sdk = await import("./dist/sdk/index.js"); process.stdout.write(Object.keys(sdk).join(","));';
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script], { cwd: folder });
    expect(stdout.split(",")).toContain("defineFunction");
  });
});
