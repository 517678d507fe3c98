import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { listen } from "../../../src/core/listen.ts";
import { Program } from "../../support/daemon.ts";
import { eventually } from "../../support/eventually.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-daemons-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let folders = 0;
function freshFolder(): string {
  const path = join(folder, String(folders++));
  mkdirSync(path);
  return path;
}

interface Ready {
  readonly addresses: { readonly http: string; readonly mqtt: string };
  readonly pid: number;
}

const FREE_PORTS = ["--mqtt-port", "0", "--http-port", "0"];

describe.each([
  { name: "gateway", args: ["gateway", "--control", "", ...FREE_PORTS] },
  { name: "control", args: ["control", ...FREE_PORTS] },
])("millrace $name", ({ name, args }) => {
  // One folder for all: only the first start has to create a store.
  const data = freshFolder();

  it("prints one JSON line when ready, serves, and ends with 0 within 3 s of SIGTERM", async () => {
    await using program = new Program([...args, "--json", "--data", data]);
    const { addresses, pid } = JSON.parse(await program.line()) as Ready;
    expect(pid).toBe(program.child.pid);
    expect(addresses).toEqual({
      http: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      mqtt: expect.stringMatching(/^mqtt:\/\/127\.0\.0\.1:\d+$/),
    });
    expect((await fetch(`${addresses.http}/healthz`)).status).toBe(200);
    const start = performance.now();
    program.child.kill("SIGTERM");
    expect(await program.exit).toEqual({ code: 0, signal: null });
    expect(performance.now() - start).toBeLessThan(3_000);
    expect(program.out.trimEnd().split("\n")).toHaveLength(1);
    for (const line of program.err.trimEnd().split("\n").filter(Boolean)) expect(JSON.parse(line)).toMatchObject({ name });
  });

  it("tells a person where it is, and ends with 0 on SIGINT", async () => {
    await using program = new Program([...args, "--data", data]);
    expect(await program.line()).toMatch(/^(gateway \S+|control plane) is ready at \S+ and \S+ \(process \d+\)$/);
    program.child.kill("SIGINT");
    expect(await program.exit).toEqual({ code: 0, signal: null });
  });

  it("leaves at once with 130 on a second signal", async () => {
    await using program = new Program([...args, "--data", data]);
    await program.line();
    // Both signals wait while it is stopped, so it sees the second before it could end on the first.
    program.child.kill("SIGSTOP");
    program.child.kill("SIGTERM");
    program.child.kill("SIGINT");
    program.child.kill("SIGCONT");
    expect(await program.exit).toEqual({ code: 130, signal: null });
  });

  it("says which port is taken", async () => {
    const server = createServer();
    const { port } = await listen(server, { host: "127.0.0.1", port: 0 }, "the test");
    await using program = new Program([...args, "--data", data, "--mqtt-port", String(port)]);
    expect(await program.exit).toEqual({ code: 1, signal: null });
    server.close();
    expect(program.out).toBe("");
    expect(program.err).toMatch(new RegExp(`^error PORT_IN_USE: .*\\b${port}\\b`, "m"));
    expect(program.err).not.toMatch(/^\s+at /m);
  });

  it("says that the data folder is in use", async () => {
    await using first = new Program([...args, "--data", data]);
    await first.line();
    await using second = new Program([...args, "--data", data, "--json"]);
    expect(await second.exit).toEqual({ code: 1, signal: null });
    const error: unknown = JSON.parse(second.err.trimEnd().split("\n").at(-1) ?? "");
    expect(error).toEqual({ error: { code: "DATA_LOCKED", message: expect.stringContaining(data), hint: expect.any(String) } });
  });

  it("says that the data folder cannot be made", async () => {
    const file = join(freshFolder(), "file");
    writeFileSync(file, "");
    await using program = new Program([...args, "--data", join(file, "data")]);
    expect(await program.exit).toEqual({ code: 1, signal: null });
    expect(program.err).toContain("error DATA_UNWRITABLE: ");
  });

  it("checks its configuration without starting", async () => {
    const cwd = freshFolder();
    writeFileSync(join(cwd, "good.yaml"), "mqtt: {port: 1999}\nlog.level: warn\n");
    writeFileSync(join(cwd, "bad.yaml"), "mqtt:\n  prt: 1999\nlog.level: loud\n");
    await using good = new Program([name, "--config", "good.yaml", "--check", "--json"], { cwd });
    expect(await good.exit).toEqual({ code: 0, signal: null });
    expect(JSON.parse(good.out)).toMatchObject({ valid: true, config: { mqtt: { port: 1999 }, log: { level: "warn" } } });
    await using bad = new Program([name, "--config", "bad.yaml", "--check"], { cwd, env: { MILLRACE_HTTP_PRT: "1" } });
    expect(await bad.exit).toEqual({ code: 1, signal: null });
    expect(bad.err).toContain('bad.yaml:2: mqtt.prt: unknown key; did you mean "port"?');
    expect(bad.err).toContain("bad.yaml:3: log.level: it cannot be");
    expect(bad.err).toContain('unknown variable MILLRACE_HTTP_PRT; did you mean "MILLRACE_HTTP_PORT"?');
  });
});

it("a gateway goes on after SIGHUP, with the access rules as they are now", async () => {
  const data = freshFolder();
  await using program = new Program(["gateway", "--control", "", ...FREE_PORTS, "--data", data]);
  await program.line();
  writeFileSync(join(data, "access.yaml"), "rules: []", { mode: 0o600 });
  program.child.kill("SIGHUP");
  await eventually(() => expect(program.err).toContain("who may come in or do what has changed"));
  expect(program.err).toContain("certificates, users and access rules are looked at again");
  program.child.kill("SIGTERM");
  expect(await program.exit).toEqual({ code: 0, signal: null });
});
