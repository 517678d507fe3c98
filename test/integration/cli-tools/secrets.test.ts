import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readSecrets, secretsPlace } from "../../../src/runtime/secrets/secret-file.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const MAIN = join(import.meta.dirname, "../../../src/cli/main.ts");

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

describe("millrace secrets", () => {
  let folder: TempFolder;
  beforeEach(async () => {
    folder = await TempFolder.make();
  });
  afterEach(() => folder[Symbol.asyncDispose]());

  async function millrace(args: readonly string[], input = ""): Promise<Outcome> {
    const child = spawn(process.execPath, [MAIN, "secrets", ...args, "--data", folder.join("data")], { env: {}, stdio: "pipe" });
    child.stdin.on("error", () => undefined); // It may end without having read anything.
    child.stdin.end(input);
    const exit = new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? -1)));
    const [code, out, err] = await Promise.all([exit, text(child.stdout), text(child.stderr)]);
    return { code, out, err };
  }

  it("sets, lists and removes, and shows no value", { timeout: 60_000 }, async () => {
    expect(await millrace(["list"])).toMatchObject({ code: 0, out: "no secret is set\n" });
    const set = await millrace(["set", "API_KEY"], "very secret\r\n");
    expect(set).toMatchObject({ code: 0, out: expect.stringContaining("API_KEY is set") as string, err: "" });
    expect(readSecrets(secretsPlace(folder.join("data"), "")).get("API_KEY")?.value).toBe("very secret");
    const key = await readFile(folder.join("data/secrets.key"), "utf8");
    const rekey = await millrace(["rekey", "--json"]);
    expect(JSON.parse(rekey.out)).toEqual({ ok: true });
    expect(await readFile(folder.join("data/secrets.key"), "utf8")).not.toBe(key);
    const listed = await millrace(["list", "--json"]);
    expect(JSON.parse(listed.out)).toEqual([{ name: "API_KEY", setAt: expect.any(Number) as number }]);
    expect(`${set.out}${rekey.out}${listed.out}`).not.toContain("very secret");
    expect((await millrace(["remove", "API_KEY"])).code).toBe(0);
    expect(await millrace(["remove", "API_KEY"])).toMatchObject({ code: 1, err: expect.stringContaining('no secret "API_KEY"') as string });
  });

  it.each([
    [["set"], "x".repeat(10), /the name of the secret is missing/],
    [["set", "a-b"], "x".repeat(10), /letters, digits and underscores/],
    [["set", "A", "value"], "", /./],
    [["set", "A"], "", /standard input/],
    [["set", "A"], "short\n", /at least 8 characters/],
    [["set", "A"], "x".repeat(65_537), /at most 64KB/],
    [["show", "A"], "", /is none of/],
    [["list", "A"], "", /takes no name/],
  ])("refuses %j", { timeout: 60_000 }, async (args, input, problem) => {
    const { code, out, err } = await millrace(args, input);
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).toMatch(problem);
  });
});
