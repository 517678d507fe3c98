import { describe, expect, it } from "vitest";
import type { CommandIo } from "../../../src/cli/command.ts";
import { COMMANDS, PLANNED } from "../../../src/cli/commands.ts";
import { describe as describeError, runProgram } from "../../../src/cli/program.ts";
import { MillraceError } from "../../../src/core/errors.ts";

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const io: CommandIo = {
    stdout: (text) => void (out += text),
    stderr: (text) => void (err += text),
    signal: new AbortController().signal,
    tty: false,
    env: {},
  };
  const code = await runProgram(args, io);
  return { code, out, err };
}

describe("the program", () => {
  it("shows every command when called alone or with help", async () => {
    const alone = await run();
    expect(alone.code).toBe(0);
    for (const { name } of COMMANDS) expect(alone.out).toContain(`\n  ${name} `);
    expect(await run("help")).toEqual(alone);
    expect(await run("--help")).toEqual(alone);
  });

  it.each(["gateway", "control", "doctor"])("shows the help of %s both ways", async (name) => {
    const help = await run("help", name);
    expect(help).toMatchObject({ code: 0, out: expect.stringContaining(`usage: millrace ${name}`) });
    expect(await run(name, "--help")).toEqual(help);
  });

  it("says its version", async () => {
    expect(await run("--version")).toEqual({ code: 0, out: expect.stringMatching(/^millrace \d+\.\d+\.\d+\n$/), err: "" });
  });

  it("answers an unknown command with the nearest one", async () => {
    expect(await run("gatway")).toEqual({
      code: 2,
      out: "",
      err: expect.stringMatching(/^error USAGE: unknown command "gatway"; did you mean "gateway"\?\n {2}hint: /),
    });
    expect((await run("help", "xyzzyx")).err).toContain("there are: dev, gateway, control");
  });

  it.each(PLANNED)("answers %s, which is planned, with that", async (name) => {
    expect(await run(name)).toMatchObject({ code: 2, err: expect.stringContaining(`"${name}" is planned, but not in this version`) });
    expect(COMMANDS.map((entry) => entry.name)).not.toContain(name);
  });

  it("answers a flag in the place of the command", async () => {
    expect(await run("--json")).toMatchObject({ code: 2, err: expect.stringContaining("a command has to come before --json") });
  });

  it("prints an error as one JSON object with --json, but not when --json is an argument", async () => {
    const { err } = await run("gatway", "--json");
    expect(JSON.parse(err)).toEqual({ error: { code: "USAGE", message: expect.any(String), hint: expect.any(String) } });
    expect((await run("gatway", "--", "--json")).err).toMatch(/^error USAGE/);
  });

  it("exits with 1 for an operating error", async () => {
    expect(await run("gateway", "--config", "/nowhere.yaml")).toMatchObject({
      code: 1,
      err: expect.stringContaining("error FILE_UNREADABLE"),
    });
  });
});

describe("how an error looks", () => {
  it("code, message and hint for an operating error", () => {
    const error = new MillraceError("PORT_IN_USE", "port 1 is taken");
    expect(describeError(error, false)).toBe(`error PORT_IN_USE: port 1 is taken\n  hint: ${error.hint}\n`);
  });

  it("stack and causes for a bug", () => {
    const text = describeError(new Error("outer", { cause: new Error("inner") }), false);
    expect(text).toMatch(/bug in Millrace[^]*outer[^]*at [^]*inner/);
    expect(JSON.parse(describeError(new Error("outer"), true))).toEqual({
      error: { code: "INTERNAL", message: expect.stringContaining("outer"), hint: expect.any(String) },
    });
  });
});
