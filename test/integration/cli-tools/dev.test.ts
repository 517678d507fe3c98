import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { type ProcessInfo, processTable } from "./processes.ts";
import { cli, type CliRun, listen, startCli } from "./support.ts";

const MAIN = new URL("../../../src/cli/main.ts", import.meta.url).pathname;
const FREE_PORTS = ["--mqtt-port", "0", "--http-port", "0", "--control-port", "0", "--link-port", "0"];
const WAIT = { interval: 50 };
// Real control planes and gateways start here, several of them, on whatever machine this is.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const MANIFEST = `
name: doubler
api: 1
triggers:
  - mqtt: in/+device/v
key: device
permissions:
  publish: ["out/#"]
`;
const handler = (factor: number): string => `
import { defineFunction } from "millrace";
export default defineFunction<{ v: number }>({
  handler(event, ctx) {
    const v = event.data.v * ${factor};
    if (v < 0) ctx.log.warn("below zero");
    ctx.emit("doubled", { n: event.params.device, v, raw: event.data.v });
    ctx.publish(\`out/\${event.params.device}\`, { v });
  },
});
`;

interface Ready {
  readonly addresses: { readonly mqtt: string; readonly http: string; readonly control: string };
}

let folder: string;
let functions: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-dev-"));
  functions = join(folder, "functions");
  await mkdir(join(functions, "doubler"), { recursive: true });
  await writeFile(join(functions, "doubler", "function.yaml"), MANIFEST);
  await writeFile(join(functions, "doubler", "index.ts"), handler(2));
});
afterAll(() => rm(folder, { recursive: true }));

function lines(run: { output: { stdout: string } }): Record<string, unknown>[] {
  return run.output.stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Record<string, unknown>]));
}

const notes = (run: CliRun): string =>
  lines(run)
    .flatMap(({ type, text }) => (type === "note" ? [String(text)] : []))
    .join("\n");

async function ready(run: CliRun): Promise<Ready> {
  const ended = run.result.then(({ stderr }) => Promise.reject(new Error(`it ended instead: ${stderr}`)));
  const said = eventually(() => {
    const line = lines(run).find(({ type }) => type === "ready");
    expect(line).toBeDefined();
    return line as unknown as Ready;
  }, WAIT);
  return Promise.race([said, ended]);
}

async function noteOf(run: CliRun, text: RegExp): Promise<void> {
  await eventually(() => expect(notes(run)).toMatch(text), WAIT);
}

/** Gateways, control planes and their hosts that use the folder of this test: each daemon leads a process group. */
const groups = new Set<number>();
function processes(): ProcessInfo[] {
  const all = processTable();
  for (const { pid, command } of all) if (command.includes(folder) && /main\.ts (gateway|control) /.test(command)) groups.add(pid);
  return all.filter(({ group }) => groups.has(group));
}

function isOpen(address: string): Promise<boolean> {
  const { hostname, port } = new URL(address);
  return new Promise((resolve) => {
    const socket = connectSocket(Number(port), hostname);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

describe("dev", () => {
  let run: CliRun;
  let at: Ready["addresses"];
  const control = (...args: string[]): ReturnType<typeof cli> => cli(...args, "--control", at.control);
  const values = async (): Promise<number[]> => {
    const { stdout } = await control("events", "--type", "doubled", "--all", "--json");
    return stdout.split("\n").flatMap((line) => (line === "" ? [] : [(JSON.parse(line) as { data: { raw: number } }).data.raw]));
  };

  beforeAll(async () => {
    run = startCli("dev", functions, "--json", "--data", join(folder, "data"), "--gateway-id", "bench-1", ...FREE_PORTS);
    at = (await ready(run)).addresses;
    await noteOf(run, /doubler v1 is active/);
  });
  afterAll(async () => {
    run.stop();
    await run.result;
  });

  it("carries a message from a sensor to a subscriber and into the cloud", async () => {
    const follow = startCli("events", "--type", "doubled", "--follow", "--json", "--control", at.control);
    const client = await connectAsync(at.mqtt, { protocolVersion: 5 });
    const received: string[] = [];
    client.on("message", (topic, payload) => received.push(`${topic} ${payload.toString()}`));
    await client.subscribeAsync("out/#", { qos: 1 });
    await client.publishAsync("in/d1/v", '{"v":21}', { qos: 1 });
    await eventually(() => expect(received).toEqual(['out/d1 {"v":42}']), WAIT);
    await eventually(async () => expect(await values()).toEqual([21]), WAIT);
    await client.endAsync();
    await eventually(() => expect(follow.output.stdout).toMatch(/^\{"specversion":"1\.0".*"v":42.*\}\n$/), WAIT);
    follow.stop();
    await follow.result;
    const { stdout } = await control("events", "--limit", "1");
    expect(stdout).toMatch(/ {2}bench-1 {2}doubler v1 {2}doubled {2}\S+ {2}\{"n":"d1","v":42,"raw":21\}\n$/);
  });

  it("is seen by the commands that look", async () => {
    expect((await control("functions")).stdout).toMatch(/doubler +v1 +[0-9a-f]{12} +1 +0 +0 +in\/\+device\/v/);
    const stats = await cli("stats", "--gateway", at.http, "--json");
    expect(JSON.parse(stats.stdout)).toMatchObject({ gateway: "bench-1", functions: [{ name: "doubler", version: 1, handled: 1 }] });
    expect((await cli("stats", "--gateway", at.http)).stdout).toMatch(/total +1 +0/);
  });

  it("runs a deployed function once without keeping anything", async () => {
    const args = ["--topic", "in/d9/v", "--gateway", at.http];
    const invoked = await cli("invoke", "doubler", ...args, "--payload", '{"v":4}', "--json");
    expect(JSON.parse(invoked.stdout)).toMatchObject({ ok: true, events: [{ type: "doubled", data: { n: "d9", v: 8 } }] });
    expect(invoked.code).toBe(0);
    const failed = await cli("invoke", "doubler", ...args, "--payload", "nonsense");
    expect(failed).toMatchObject({ code: 1, stdout: expect.stringMatching(/doubler: failed in .* ms: /) });
    const unknown = await cli("invoke", "dubler", ...args, "--payload", "1");
    expect(unknown.stderr).toMatch(/FUNCTION_UNKNOWN.*did you mean "doubler"/);
    expect(await values()).toEqual([21]);
  });

  it("shows what functions log, as it comes", async () => {
    const follow = startCli("logs", "doubler", "--follow", "--level", "warn", "--gateway", at.http);
    const client = await connectAsync(at.mqtt, { protocolVersion: 5 });
    await client.publishAsync("in/d1/v", '{"v":-1}', { qos: 1 });
    await client.endAsync();
    await eventually(() => expect(follow.output.stdout).toMatch(/warn +doubler v1 #\S+ {2}below zero/), WAIT);
    follow.stop();
    expect((await follow.result).code).toBeLessThanOrEqual(130);
    expect((await cli("logs", "--gateway", at.http, "--json")).stdout).toMatch(/"message":"below zero/);
    await noteOf(run, /doubler v1: below zero/);
  });

  it("publishes a change, and goes on with the old version while a file is wrong", async () => {
    await writeFile(join(functions, "doubler", "index.ts"), handler(2).replace("v * 2", "v * * 2").replace("event.data", "event.data)"));
    await noteOf(run, /doubler does not build, the old version goes on: .*index\.ts:/);
    await writeFile(join(functions, "doubler", "index.ts"), handler(3));
    await noteOf(run, /doubler published as v2\n(.*\n)*doubler v2 is active/);
    const invoked = await cli("invoke", "doubler", "--topic", "in/d1/v", "--payload", '{"v":5}', "--gateway", at.http);
    expect(invoked.stdout).toContain('"v":15');
  });

  it("publishes a new folder and removes one that is gone", async () => {
    const other = join(functions, "tripler");
    await cp(join(functions, "doubler"), other, { recursive: true });
    await writeFile(join(other, "function.yaml"), MANIFEST.replace("doubler", "tripler").replace("in/", "other/"));
    await noteOf(run, /tripler v1 is active/);
    await rm(other, { recursive: true });
    await noteOf(run, /tripler removed/);
    expect((await control("functions")).stdout).not.toContain("tripler");
  });

  it("waits in `publish` until gateways run it, and fails when one cannot", async () => {
    const other = join(folder, "loads-badly");
    await mkdir(other);
    await writeFile(join(other, "function.yaml"), MANIFEST.replace("doubler", "loads-badly").replace("in/", "bad/"));
    await writeFile(join(other, "index.ts"), handler(2));
    const good = await control("publish", other);
    expect(good).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^loads-badly v1 {2}[0-9a-f]{12} {2}published\nactive on bench-1\n$/),
    });
    expect((await control("publish", other)).stdout).toMatch(/unchanged\nactive on bench-1/);
    await writeFile(join(other, "index.ts"), `${handler(2)}\nthrow new Error("not today");\n`);
    const bad = await control("publish", other);
    expect(bad.code).toBe(1);
    expect(bad.stdout).toMatch(/loads-badly v2 failed on bench-1: .*not today/);
  });

  it("starts a killed gateway again, and a replay across it arrives exactly once", async () => {
    const file = join(folder, "rows.csv");
    const count = 3_000;
    await writeFile(file, `v\n${Array.from({ length: count }, (_, index) => 1_000 + index).join("\n")}\n`);
    const before = (await values()).length;
    const replay = startCli("replay", file, "--topic", "in/d2/v", "--broker", at.mqtt, "--rate", "1500");
    const pidOf = async (): Promise<number> =>
      (JSON.parse((await cli("stats", "--gateway", at.http, "--json")).stdout) as { pid: number }).pid;
    const pid = await pidOf();
    await eventually(async () => expect((await values()).length).toBeGreaterThan(before + 100), WAIT);
    process.kill(pid, "SIGKILL");
    await noteOf(run, /the gateway died \(signal SIGKILL\).*\n(.*\n)*the gateway is back/);
    expect(await replay.result).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("connected to"),
      stdout: expect.stringContaining("3,000 rows published"),
    });
    expect(await pidOf()).not.toBe(pid);
    const expected = Array.from({ length: count }, (_, index) => 1_000 + index);
    await eventually(async () => expect((await values()).slice(before).toSorted((a, b) => a - b)).toEqual(expected), WAIT);
  });

  it("starts a killed control plane again without losing an event", async () => {
    const before = (await values()).length;
    const plane = processes().find(({ command }) => command.includes("main.ts control "));
    if (plane === undefined) throw new Error("no control plane runs");
    process.kill(plane.pid, "SIGKILL");
    const client = await connectAsync(at.mqtt, { protocolVersion: 5 });
    await client.publishAsync("in/d3/v", '{"v":1}', { qos: 1 });
    await client.endAsync();
    await noteOf(run, /the control plane died \(signal SIGKILL\).*\n(.*\n)*the control plane is back/);
    await eventually(async () => expect((await values()).length).toBe(before + 1), WAIT);
  });

  it("ends within 3 s and leaves nothing behind", async () => {
    expect(processes().length).toBeGreaterThanOrEqual(3);
    const startedAt = performance.now();
    run.stop();
    expect(await run.result).toMatchObject({ code: 0, stderr: "" });
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    expect(processes()).toEqual([]);
    expect(await Promise.all(Object.values(at).map(isOpen))).toEqual([false, false, false]);
    expect(await readFile(join(folder, "data", "logs", "gateway.log"), "utf8")).toContain('"name":"gateway"');
  });

  it("goes on with the data of the last run, with simulated sensors when asked", async () => {
    const second = startCli("dev", functions, "--simulate", "--data", join(folder, "data"), "--gateway-id", "bench-1", ...FREE_PORTS);
    await eventually(() => expect(second.output.stdout).toMatch(/ready: sensors mqtt:/), WAIT);
    await eventually(() => expect(second.output.stdout).toMatch(/in [1-9]\d* \([\d.]+\/s\) .*stored in the cloud [1-9]\d*/), WAIT);
    second.stop();
    expect((await second.result).code).toBe(0);
    expect(processes()).toEqual([]);
  });
});

describe("dev that cannot start", () => {
  it("names the port that is taken and how to move it", async () => {
    const server = createServer();
    const port = await listen(server);
    const args = ["--mqtt-port", String(port), "--http-port", "0", "--control-port", "0", "--link-port", "0"];
    const { code, stderr } = await cli("dev", functions, "--data", join(folder, "other"), ...args);
    server.close();
    expect(code).toBe(1);
    expect(stderr).toContain(`error PORT_IN_USE: taken already: port ${port} for MQTT (move it with --mqtt-port ${port + 1}`);
    expect(processes()).toEqual([]);
  });

  it("says that the data belongs to another run, and leaves that one alone", async () => {
    const data = join(folder, "shared");
    const first = startCli("dev", functions, "--json", "--no-watch", "--data", data, ...FREE_PORTS);
    const { addresses } = await ready(first);
    const second = await cli("dev", functions, "--data", data, ...FREE_PORTS);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/error DATA_LOCKED/);
    expect(await isOpen(addresses.mqtt)).toBe(true);
    first.stop();
    expect((await first.result).code).toBe(0);
    expect(processes()).toEqual([]);
  });

  it("has no folder of functions", async () => {
    const { stderr } = await cli("dev", join(folder, "nowhere"));
    expect(stderr).toMatch(/FILE_UNREADABLE.*nowhere.*there is no such folder/);
  });
});

it("what dev started ends when dev itself is killed", async () => {
  const data = join(folder, "orphans");
  const dev = spawn(process.execPath, [MAIN, "dev", functions, "--json", "--data", data, ...FREE_PORTS], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const output = { stdout: "", stderr: "" };
  dev.stdout.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
  await eventually(() => expect(lines({ output }).some(({ type }) => type === "ready")).toBe(true), WAIT);
  expect(processes().length).toBeGreaterThanOrEqual(3);
  dev.kill("SIGKILL");
  await eventually(() => expect(processes()).toEqual([]), WAIT);
});
