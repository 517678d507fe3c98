import { describe, expect, it } from "vitest";
import { Program } from "../../support/daemon.ts";

describe("the process", () => {
  it("prints and ends", async () => {
    await using program = new Program(["--version"]);
    expect(await program.exit).toEqual({ code: 0, signal: null });
    expect(program.out).toMatch(/^millrace \d/);
  });

  it("ends quietly when nobody reads what it prints", async () => {
    await using program = new Program(["help", "gateway"]);
    program.child.stdout?.destroy();
    expect(await program.exit).toEqual({ code: 0, signal: null });
    expect(program.err).toBe("");
  });

  it("ends with 2 and two lines on standard error when the command line is wrong", async () => {
    await using program = new Program(["gateway", "--mqtt-prt", "1"]);
    expect(await program.exit).toEqual({ code: 2, signal: null });
    expect(program.out).toBe("");
    expect(program.err).toMatch(/^error USAGE: gateway: unknown flag --mqtt-prt; did you mean "--mqtt-port"\?\n {2}hint: .*\n$/);
  });
});
