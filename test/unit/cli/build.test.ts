import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runProgram } from "../../../src/cli/program.ts";
import { temporaryFolder } from "../build/folder.ts";

const CODE = "export default { handler() {} };";

function functionAt(name: string, ...triggers: readonly string[]): Record<string, string> {
  const list = triggers.map((trigger) => `  - ${trigger}\n`).join("");
  return { [`${name}/function.yaml`]: `name: ${name}\napi: 1\ntriggers:\n${list}`, [`${name}/index.ts`]: CODE };
}

async function build(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const io = { stdout: (text: string) => void (out += text), stderr: (text: string) => void (err += text), tty: false, env: {} };
  const code = await runProgram(["build", ...args], { ...io, signal: new AbortController().signal });
  return { code, out, err };
}

describe("millrace build", () => {
  it("builds every folder and says what came of it, the same each time", async () => {
    await using folder = await temporaryFolder({ ...functionAt("one", "mqtt: a"), ...functionAt("two", "http: GET /a") });
    const first = await build(folder.path, "--json");
    expect(first).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(first.out)).toEqual({
      functions: ["one", "two"].map((name) => ({
        name,
        digest: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
        bytes: expect.any(Number) as number,
        folder: join(folder.path, name),
      })),
    });
    expect(await build(folder.path, "--json")).toEqual(first);
    expect((await build(join(folder.path, "one"))).out).toMatch(/^one {2}[0-9a-f]+ {2}[\d.]+K?B\n$/);
  });

  it("finds what is wrong in all of them at once", async () => {
    await using folder = await temporaryFolder({
      ...functionAt("one", "mqtt: a", "mqtt: a"),
      ...functionAt("two", "schedule: 0 0 31 2 *"),
    });
    const { code, err } = await build(folder.path);
    expect(code).toBe(1);
    expect(err).toContain(
      `${join(folder.path, "one/function.yaml")}:5: triggers[1].mqtt: "a" is the same filter as triggers[0].mqtt; leave one`,
    );
    expect(err).toContain(`${join(folder.path, "two/function.yaml")}:4: triggers[0].schedule: "0 0 31 2 *" never fires`);
  });

  it("finds two functions that take the same requests", async () => {
    await using folder = await temporaryFolder({
      ...functionAt("one", "http: GET,POST /device/:id", "http: GET /all"),
      ...functionAt("two", "mqtt: a", "http: POST /device/:name"),
      ...functionAt("three", "http: GET /device/all", "http: PUT /device/:id"),
    });
    const { code, err } = await build(folder.path);
    expect(code).toBe(1);
    expect(err.split("\n")[0]).toBe(
      `error MANIFEST_INVALID: ${join(folder.path, "two/function.yaml")}: triggers[1].http: "POST /device/:name" takes requests that "one" takes, ` +
        `with "GET,POST /device/:id" in ${join(folder.path, "one/function.yaml")}; give one of them another method or path`,
    );
    expect(err).not.toContain("three");
  });
});
