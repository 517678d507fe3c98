import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/core/clock.ts";
import { Drops } from "../../src/core/drops.ts";
import { silentLogger } from "../../src/core/log.ts";
import type { LogRecord } from "../../src/core/stats.ts";
import { LogStore } from "../../src/runtime/log-store.ts";
import { LogRing } from "../../src/runtime/logs.ts";
import { eventually } from "../support/eventually.ts";
import { TempFolder } from "../support/temp-folder.ts";

const CHILD = new URL("logs-child.ts", import.meta.url).pathname;
const never = new AbortController().signal;
const run = promisify(execFile);

async function allOf(store: LogStore): Promise<LogRecord[]> {
  const all: LogRecord[] = [];
  for (let after = 0; ;) {
    const { records, next } = await store.query({ level: "debug", after, limit: 1_000 }, never);
    if (records.length === 0) return all;
    all.push(...records);
    after = next;
  }
}

describe("logs of a gateway that is killed", () => {
  it("are there up to the last ones, each once, and no number comes twice", async () => {
    await using folder = await TempFolder.make();
    const location = folder.join("logs");
    let first = 1;
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, [CHILD, location, String(first)], { stdio: ["ignore", "pipe", "inherit"] });
      let logged = 0;
      for await (const line of createInterface({ input: child.stdout })) {
        logged = Number(line);
        if (logged > first + 5_000) break;
      }
      child.kill("SIGKILL");
      await once(child, "exit");
      const [ring, drops] = [new LogRing(), new Drops()];
      await using store = await LogStore.open({ location, bytesMax: 64 * 1024 ** 2, ring, drops, logger: silentLogger });
      const records = await allOf(store);
      // What was in memory, at most 1,000 and a block or two, may be gone.
      expect(records.length).toBeGreaterThan(logged - 2_000);
      expect(records.map(({ message, fields }) => [message, fields])).toEqual(
        records.map((_, index) => [String(index + 1), { number: index + 1 }]),
      );
      const numbers = records.map(({ n }) => n);
      expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
      first = records.length + 1;
    }
  });
});

describe("logs on a full disk", () => {
  it("are dropped and counted, and kept again when there is space", async ({ skip }) => {
    await using folder = await TempFolder.make();
    const disk = folder.join("disk");
    await mkdir(disk);
    const problem = await run("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]).then(
      () => undefined,
      (error: unknown) => `this user cannot mount a small file system here: ${String(error).slice(0, 200)}`,
    );
    skip(problem !== undefined, problem);
    await using own = new AsyncDisposableStack();
    own.defer(async () => void (await run("umount", ["-l", disk])));
    const gate = Promise.withResolvers<void>();
    const clock: Clock = { now: () => Date.now(), elapsed: () => performance.now(), sleep: () => gate.promise };
    const [ring, drops] = [new LogRing(100), new Drops()];
    const options = { location: `${disk}/logs`, bytesMax: 64 * 1024 ** 2, ring, drops, logger: silentLogger, clock };
    const store = own.use(await LogStore.open(options));
    const log = (message: string): void => ring.add({ level: "info", function: "f", version: 1, message });
    log("before");
    await eventually(() => expect(store.unwritten).toBe(0));
    await writeFile(`${disk}/ballast`, Buffer.alloc(8 * 1024 ** 2)).catch(() => undefined);
    const noise = Array.from({ length: 200 }, () => Math.random().toString(36)).join("");
    let sent = 1;
    await eventually(
      () => {
        for (let i = 0; i < 50; i++) log(`${sent++} ${noise}`);
        expect(drops.all()[0]?.count).toBeGreaterThan(200);
      },
      { interval: 5 },
    );
    await rm(`${disk}/ballast`);
    gate.resolve();
    await eventually(() => expect(store.unwritten).toBe(0));
    log("after");
    await eventually(() => expect(store.unwritten).toBe(0));
    for (let i = 0; i < 100; i++) log(`filler ${i}`);
    const records = await allOf(store);
    expect(records[0]?.message).toBe("before");
    expect(records.some(({ message }) => message === "after")).toBe(true);
    // Each is there or counted.
    expect(records.length + (drops.all()[0]?.count ?? 0)).toBe(sent + 101);
  });
});
