import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lockHolder } from "../../../src/cli/doctor/disk.ts";
import type { Finding } from "../../../src/cli/doctor/finding.ts";
import { checkClock, checkIsolation, checkNode } from "../../../src/cli/doctor/machine.ts";
import { listen } from "../../../src/core/listen.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { startHttp } from "../../../src/http/server.ts";
import { Program } from "../../support/daemon.ts";
import { Parts } from "../http/support.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-doctor-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Answer {
  readonly code: number | null;
  readonly ok: boolean;
  readonly err: string;
  readonly of: (check: string) => Finding | undefined;
}

async function doctor(config: Readonly<Record<string, string | number>>): Promise<Answer> {
  const file = join(folder, "gateway.yaml");
  const settings = { "mqtt.port": 0, "http.port": 0, "control.url": "", data: join(folder, "data"), ...config };
  writeFileSync(file, JSON.stringify(settings));
  await using program = new Program(["doctor", "--config", file, "--json"]);
  const { code } = await program.exit;
  const { ok, checks } = JSON.parse(program.out) as { ok: boolean; checks: Finding[] };
  return { code, ok, err: program.err, of: (check) => checks.find((finding) => finding.check === check) };
}

async function occupied(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.on("error", () => undefined).end("not http"));
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 }, "the test");
  return { server, port };
}

describe("millrace doctor", () => {
  it("finds a good machine good, and leaves nothing behind", async () => {
    const { code, ok, of } = await doctor({});
    expect([code, ok]).toEqual([0, true]);
    for (const check of ["node", "clock", "data folder", "data lock", "disk free", "isolation", "memory cap"])
      expect(of(check)?.status).toBe("ok");
    expect(of("disk sync")?.message).toMatch(/ ms \(slowest|in memory/);
    expect(of("link")).toMatchObject({ status: "skipped" });
    expect(existsSync(join(folder, "data"))).toBe(false);
    expect(readdirSync(folder)).toEqual(["gateway.yaml"]);
  });

  it("names a port that another program has", async () => {
    const { server, port } = await occupied();
    const { code, err, of } = await doctor({ "mqtt.port": port, "http.port": port });
    server.close();
    expect(code).toBe(1);
    expect(of(`port ${port}`)).toMatchObject({ status: "FAIL", remedy: expect.stringContaining("mqtt.port") });
    expect(JSON.parse(err)).toMatchObject({ error: { code: "DOCTOR_FAILED", message: expect.stringMatching(/^2 of \d+ checks failed$/) } });
  });

  it("knows a port that a running gateway has", async () => {
    await using http = await startHttp({ host: "127.0.0.1", port: 0 }, new Parts(), { logger: silentLogger });
    const port = Number(new URL(http.address).port);
    const { code, of } = await doctor({ "http.port": port });
    expect(code).toBe(0);
    expect(of(`port ${port}`)).toMatchObject({ status: "ok", message: expect.stringContaining('running gateway "milan-1"') });
  });

  it("names the process that has the data folder", async () => {
    const database = new ClassicLevel(join(folder, "data", "journal"));
    mkdirSync(join(folder, "data"));
    await database.open();
    const locked = await doctor({});
    await database.close();
    expect(locked.code).toBe(1);
    expect(locked.of("data lock")).toMatchObject({ status: "FAIL", message: expect.stringContaining(`process ${process.pid} uses`) });
    expect((await doctor({})).of("data lock")).toMatchObject({ status: "ok" });
  });

  it("says that a file is in the place of the data folder", async () => {
    writeFileSync(join(folder, "file"), "");
    const { code, of } = await doctor({ data: join(folder, "file") });
    expect(code).toBe(1);
    expect(of("data folder")).toMatchObject({ status: "FAIL", message: expect.stringContaining("is not a folder") });
  });

  it("reaches the link, or warns", async () => {
    const { server, port } = await occupied();
    expect((await doctor({ "control.url": `mqtt://127.0.0.1:${port}` })).of("link")).toMatchObject({ status: "ok" });
    await new Promise((resolve) => server.close(resolve));
    const { code, of } = await doctor({ "control.url": `mqtt://127.0.0.1:${port}` });
    expect(code).toBe(0);
    expect(of("link")).toMatchObject({ status: "warn", message: expect.stringContaining("ECONNREFUSED") });
  });

  it("prints a line for each check to a person", async () => {
    await using program = new Program(["doctor", "--data", join(folder, "data")]);
    await program.exit;
    expect(program.out).toMatch(/^ok {7}node {9}version 26\./);
    for (const line of program.out.trimEnd().split("\n")) expect(line).toMatch(/^(ok|warn|FAIL|skipped|\s+→) +\S/);
  });
});

describe("a check", () => {
  const { signal } = new AbortController();

  it("refuses an old Node and a clock that was never set", async () => {
    expect(checkNode("20.19.0")).toMatchObject({ status: "FAIL", remedy: expect.stringContaining("26") });
    expect(await checkClock(new Date(0), signal)).toMatchObject({ status: "FAIL", message: expect.stringContaining("1970") });
  });

  it("of the isolation does what it says: the forbidden file is not written", async () => {
    const forbidden = join(folder, "forbidden");
    expect(await checkIsolation(forbidden, signal)).toMatchObject({ status: "ok" });
    expect(existsSync(forbidden)).toBe(false);
  });

  it("finds the holder of a lock among others", () => {
    const locks =
      "1: FLOCK  ADVISORY  WRITE 1 08:01:55 0 EOF\n2: POSIX  ADVISORY  READ 2 08:01:55 0 EOF\n3: POSIX  ADVISORY  WRITE 3 08:01:55 0 EOF\n";
    expect(lockHolder(locks, new Set(["55"]))).toBe("3");
    expect(lockHolder(locks, new Set(["5"]))).toBeUndefined();
  });
});
