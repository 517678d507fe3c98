import { execFile, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { Duplex } from "node:stream";
import { promisify } from "node:util";
import { describe, expect, it, vi } from "vitest";
import { hostProgram } from "../../../src/runtime/host-program.ts";
import { hostArguments, HostProcess, hostFlags } from "../../../src/runtime/host-process.ts";
import { FRAME } from "../../../src/runtime/host/frames.ts";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";

const PROGRAM = new URL("../../../src/runtime/host-program.ts", import.meta.url).pathname;
const ENTRY = new URL("../../../src/runtime/host/main.ts", import.meta.url).pathname;

/** Runs `script` in a process that is confined like a host, and gives back what it prints. */
async function confined(script: string): Promise<string> {
  const args = hostFlags();
  const child = spawn(process.execPath, [...args, "--input-type=module", "-e", script], {
    env: {},
    cwd: "/",
    stdio: ["ignore", "pipe", "ignore"],
  });
  let out = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  await new Promise((resolve) => child.once("close", resolve));
  return out.trim();
}

const report = (attempt: string): string => `
  try { await (async () => { ${attempt} })(); process.stdout.write('allowed'); }
  catch (error) { process.stdout.write(error.code ?? error.message); }`;

describe("a host process", () => {
  it.each([
    ["read a file", "const { readFileSync } = await import('node:fs'); readFileSync('/etc/passwd');"],
    ["read its own program", `const { readFileSync } = await import('node:fs'); readFileSync(${JSON.stringify(ENTRY)});`],
    [
      "read what this process reads",
      `const { readFileSync } = await import('node:fs'); readFileSync(${JSON.stringify(new URL(import.meta.url).pathname)});`,
    ],
    ["write a file", "const { writeFileSync } = await import('node:fs'); writeFileSync('/tmp/millrace-escaped', '');"],
    ["write into its own folder", `const { writeFileSync } = await import('node:fs'); writeFileSync(${JSON.stringify(ENTRY)} + '.x', '');`],
    [
      "connect",
      "const { connect } = await import('node:net');" +
        "await new Promise((resolve, reject) => connect(9, '127.0.0.1').on('connect', resolve).on('error', reject));",
    ],
    [
      "listen",
      "const { createServer } = await import('node:net'); await new Promise((resolve, reject) => createServer().on('error', reject).listen(0, resolve));",
    ],
    [
      "send a datagram",
      "const { createSocket } = await import('node:dgram'); await new Promise((resolve, reject) =>" +
        "createSocket('udp4').on('error', reject).send('x', 9, '127.0.0.1', (error) => error ? reject(error) : resolve()));",
    ],
    ["start a process", "const { spawnSync } = await import('node:child_process'); spawnSync('true');"],
    ["start a thread", "const { Worker } = await import('node:worker_threads'); new Worker('', { eval: true });"],
    ["open the inspector", "const { open } = await import('node:inspector'); open(0);"],
  ])("may not %s", async (_what, attempt) => {
    expect(await confined(report(attempt))).toBe("ERR_ACCESS_DENIED");
  });

  it("runs with these arguments, without environment, and with one pipe besides its error output", async () => {
    const { promise: ready, resolve } = Promise.withResolvers<number>();
    const host = await HostProcess.start({ frame: () => undefined, died: () => undefined });
    resolve(host.pid);
    const pid = await ready;
    expect(await readFile(`/proc/${pid}/environ`, "utf8")).toBe("");
    expect((await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0").slice(1, -1)).toEqual(hostArguments());
    expect(hostArguments()).toContain("--permission");
    await host.close();
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });

  it("gets a program that can be made without a word on the error output", async () => {
    const script = `const { hostProgram } = await import(${JSON.stringify(PROGRAM)}); process.stdout.write(String(hostProgram().length > 10_000));`;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
    expect([stdout, stderr]).toEqual(["true", ""]);
  });

  it("ends when its gateway is gone", async () => {
    const child = spawn(process.execPath, hostArguments(), { env: {}, cwd: "/", stdio: ["pipe", "ignore", "ignore", "pipe"] });
    child.stdin?.end(hostProgram());
    const ended = new Promise((resolve) => child.once("close", resolve));
    const pipe = child.stdio[3];
    if (!(pipe instanceof Duplex)) throw new Error("no pipe");
    await new Promise((resolve) => pipe.once("data", resolve)); // READY
    pipe.destroy();
    expect(await ended).toBe(0);
  });

  it("that is killed is replaced soon, and everything is handled exactly once", async () => {
    await using core = await Core.temporary({ hosts: 2 });
    await core.deploy(
      functionOf({ concurrency: 3, retry: { attempts: 1 }, handler: `ctx.emit('seen', event.data, { subject: event.params.k });` }),
    );
    const parent = String(process.pid);
    for (let round = 0; round < 4; round++) {
      const sending = Promise.all(Array.from({ length: 400 }, (_, i) => core.send(`in/k${i % 7}`, round * 400 + i)));
      const before = core.runtime.stats().hostRestarts;
      for (const pid of await vi.waitUntil(() => childrenOf(parent).then((pids) => pids.length > 0 && pids))) process.kill(pid, "SIGKILL");
      await vi.waitUntil(() => core.runtime.stats().hostRestarts > before);
      await sending;
    }
    await core.drained();
    const events = (await core.events()).map(({ data }) => Number(data));
    expect(events.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 1_600 }, (_, i) => i));
    expect(await core.deadLetters()).toEqual([]);
    expect(core.runtime.stats().hostRestarts).toBeGreaterThanOrEqual(4);
  });

  it("that sends what cannot be read is killed and reported once", async () => {
    const died = vi.fn<(reason: string) => void>();
    const frames: number[] = [];
    const host = await HostProcess.start({
      frame: (kind) => {
        frames.push(kind);
        throw new RangeError("this frame is out of bounds");
      },
      died,
    });
    // Both loads fail, so two FAILED frames come; the second is not looked at any more.
    host.send(FRAME.LOAD, 1, Buffer.from("{}"));
    host.send(FRAME.LOAD, 2, Buffer.from("{}"));
    await eventually(() => expect(died).toHaveBeenCalledTimes(1));
    expect(died.mock.calls[0]?.[0]).toContain("out of bounds");
    expect(frames).toEqual([FRAME.FAILED]);
    await host.close();
  });
});

/** Host processes that this process has started. */
async function childrenOf(parent: string): Promise<number[]> {
  const text = await readFile(`/proc/${parent}/task/${parent}/children`, "utf8");
  const pids = text
    .trim()
    .split(" ")
    .filter((pid) => pid !== "")
    .map(Number);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return pids.filter((_, index) => lines[index]?.includes("--permission"));
}
