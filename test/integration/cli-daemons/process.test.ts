import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { TempFolder } from "../../support/temp-folder.ts";
import { Program } from "../../support/daemon.ts";

describe("the process", () => {
  it("prints and ends", async () => {
    await using program = new Program(["--version"]);
    expect(await program.exit).toEqual({ code: 0, signal: null });
    expect(program.out).toMatch(/^millrace \d/);
  });

  it("keeps what Node compiles in a folder for this user only, and does without one", async () => {
    await using folder = await TempFolder.make();
    const cache = folder.path;
    for (const home of [cache, "/proc", "/proc/nowhere", ""]) {
      await using program = new Program(["--version"], { env: { XDG_CACHE_HOME: home, HOME: "" } });
      expect(await program.exit).toEqual({ code: 0, signal: null });
      expect(program.err).toBe("");
    }
    const compiled = join(cache, "millrace", "compiled");
    expect((await stat(compiled)).mode & 0o777).toBe(0o700);
    expect(await readdir(compiled)).not.toEqual([]);
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
