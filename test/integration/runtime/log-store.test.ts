import { writeFile } from "node:fs/promises";
import { describe, expect, it, vi } from "vitest";
import { Drops } from "../../../src/core/drops.ts";
import { silentLogger } from "../../../src/core/log.ts";
import type { LogQuery } from "../../../src/core/logs.ts";
import { LogStore } from "../../../src/runtime/log-store.ts";
import { LogRing } from "../../../src/runtime/logs.ts";
import { eventually } from "../../support/eventually.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const MB = 1024 ** 2;
const never = new AbortController().signal;

/** The logs of one run of a gateway, on disk and with little in memory. */
class Run implements AsyncDisposable {
  readonly ring: LogRing;
  readonly drops: Drops;
  readonly store: LogStore;

  private constructor(ring: LogRing, drops: Drops, store: LogStore) {
    this.ring = ring;
    this.drops = drops;
    this.store = store;
  }

  static async open(location: string, more: { recordsMax?: number; bytesMax?: number } = {}): Promise<Run> {
    const { recordsMax = 10_000, bytesMax = 64 * MB } = more;
    const [ring, drops] = [new LogRing(recordsMax), new Drops()];
    return new Run(ring, drops, await LogStore.open({ location, bytesMax, ring, drops, logger: silentLogger }));
  }

  log(message: string, more: Partial<Parameters<LogRing["add"]>[0]> = {}): void {
    this.ring.add({ level: "info", function: "f", version: 1, message, ...more });
  }

  /** As many as `count`, a block at a time, so that all get to the disk. */
  async logAll(count: number, of: (index: number) => Partial<Parameters<LogRing["add"]>[0]> & { message: string }): Promise<void> {
    for (let index = 0; index < count; index++) {
      const { message, ...more } = of(index);
      this.log(message, more);
      if (index % 256 === 255) await vi.waitUntil(() => this.store.unwritten === 0, { interval: 1 });
    }
  }

  async texts(query: Partial<LogQuery> = {}): Promise<string[]> {
    const { records } = await this.store.query({ level: "debug", limit: 1_000, ...query }, never);
    return records.map(({ message }) => message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
  }
}

describe("logs on disk", () => {
  it("survive a restart with their fields, and numbers go on", async () => {
    await using folder = await TempFolder.make();
    {
      await using run = await Run.open(folder.join("logs"));
      run.log("one", { invocation: "7.1", fields: '{"site":"milan","list":[1,{"a":null}]}' });
      run.log("two", { level: "error" });
    }
    await using run = await Run.open(folder.join("logs"));
    run.log("three");
    const { records, next } = await run.store.query({ level: "debug", limit: 10 }, never);
    expect(records).toMatchObject([
      { n: 1, message: "one", invocation: "7.1", fields: { site: "milan", list: [1, { a: null }] } },
      { n: 2, message: "two", level: "error" },
      { message: "three" },
    ]);
    expect(records[2]?.n).toBe(next);
    expect(next).toBeGreaterThan(10_000);
    expect(records[1]).not.toHaveProperty("fields");
    expect(await run.texts({ after: 1 })).toEqual(["two", "three"]);
    expect(await run.texts({ after: 2 })).toEqual(["three"]);
    expect(await run.texts({ limit: 2 })).toEqual(["two", "three"]);
  });

  it("are one sequence, wherever memory ends and the disk begins, for every page size and in both directions", async () => {
    await using folder = await TempFolder.make();
    await using run = await Run.open(folder.join("logs"), { recordsMax: 300 });
    await run.logAll(1_500, (index) => ({ message: String(index + 1), function: index % 3 === 0 ? "g" : "f" }));
    const all = Array.from({ length: 1_500 }, (_, index) => String(index + 1));
    for (const limit of [1, 7, 255, 256, 257, 1_000]) {
      expect(await run.texts({ limit })).toEqual(all.slice(-limit));
      const seen: string[] = [];
      for (let after = limit === 1 ? 1_150 : 0; ;) {
        const page = await run.store.query({ level: "debug", after, limit }, never);
        if (page.records.length === 0) break;
        seen.push(...page.records.map(({ message }) => message));
        after = page.next;
      }
      expect(seen).toEqual(limit === 1 ? all.slice(1_150) : all);
    }
    expect(await run.texts({ function: "g", after: 0, limit: 3 })).toEqual(["1", "4", "7"]);
    expect(await run.texts({ function: "g", limit: 450 })).toEqual(all.filter((_, index) => index % 3 === 0).slice(-450));
    expect(run.drops.all()).toEqual([]);
  });

  it("are filtered by level, time, text, function, version and invocation, on disk as in memory", async () => {
    await using folder = await TempFolder.make();
    const filters: readonly (readonly [Partial<LogQuery>, readonly string[]])[] = [
      [{ level: "warn" }, ["Sensor 2 is HOT", "gone"]],
      [{ level: "error" }, ["gone"]],
      [{ function: "g" }, ["Sensor 2 is HOT"]],
      [{ function: "h" }, []],
      [{ version: 2 }, ["gone"]],
      [{ invocation: "12" }, ["plain", "Sensor 2 is HOT"]],
      [{ invocation: "12.2" }, ["Sensor 2 is HOT"]],
      [{ text: "sensor 2 is hot" }, ["Sensor 2 is HOT"]],
      [{ text: '"site":"milan"' }, ["plain"]],
      [{ text: "12" }, []],
      [{ function: "f", level: "info", text: "O" }, ["gone"]],
    ];
    {
      await using run = await Run.open(folder.join("logs"));
      const before = Date.now();
      run.log("plain", { level: "debug", invocation: "12.1", fields: '{"site":"milan"}' });
      run.log("Sensor 2 is HOT", { level: "warn", function: "g", invocation: "12.2" });
      run.log("gone", { level: "error", version: 2, invocation: "120.1" });
      for (const [query, expected] of filters) expect([query, await run.texts(query)]).toEqual([query, expected]);
      expect(await run.texts({ since: before })).toHaveLength(3);
      expect(await run.texts({ until: before - 1 })).toEqual([]);
    }
    const later = Date.now() + 1;
    await using run = await Run.open(folder.join("logs"));
    for (const [query, expected] of filters) {
      expect([query, await run.texts(query)]).toEqual([query, expected]);
      expect([query, await run.texts({ ...query, after: 0 })]).toEqual([query, expected]);
    }
    expect(await run.texts({ since: later })).toEqual([]);
    expect(await run.texts({ until: later })).toHaveLength(3);
    expect(await run.texts({ until: 5 })).toEqual([]);
    expect(await run.texts({ since: later, after: 0 })).toEqual([]);
  });

  it("of a clock that was set back are found by their own times", async () => {
    await using folder = await TempFolder.make();
    const location = folder.join("logs");
    for (const [hour, time] of [10, 12, 9, 11].entries()) {
      await using run = await Run.open(location);
      const record = { level: "info", function: "f", version: 1, message: `${hour}`, time: time * 3_600_000 } as const;
      run.ring.add(record);
    }
    await using run = await Run.open(location);
    expect(await run.texts()).toEqual(["0", "1", "2", "3"]);
    for (const after of [undefined, 0]) {
      expect(await run.texts({ after, since: 10 * 3_600_000 })).toEqual(["0", "1", "3"]);
      expect(await run.texts({ after, until: 10 * 3_600_000 })).toEqual(["0", "2"]);
      expect(await run.texts({ after, since: 11 * 3_600_000, until: 11.5 * 3_600_000 })).toEqual(["3"]);
    }
  });

  it("stay within their bytes: the oldest go, nothing in between", async () => {
    await using folder = await TempFolder.make();
    const location = folder.join("logs");
    const quota = { recordsMax: 1_000, bytesMax: 4 * MB };
    let oldest = 0;
    for (let round = 0; round < 2; round++) {
      await using run = await Run.open(location, quota);
      await run.logAll(5_120, (index) => ({ message: `${round * 5_120 + index} ${"x".repeat(1_000)}` }));
      expect(run.store.bytes).toBeLessThanOrEqual(4 * MB);
      expect(run.store.bytes).toBeGreaterThan(3 * MB);
      const numbers: number[] = [];
      for (let after = 0; ;) {
        const { records, next } = await run.store.query({ level: "debug", after, limit: 1_000 }, never);
        if (records.length === 0) break;
        for (const { message } of records) numbers.push(Number.parseInt(message, 10));
        after = next;
      }
      expect(numbers[0]).toBeGreaterThan(oldest);
      oldest = numbers[0] ?? 0;
      expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => oldest + index));
      expect(numbers.at(-1)).toBe((round + 1) * 5_120 - 1);
      expect(numbers.length).toBeGreaterThan(3_000);
      expect(run.drops.all()).toEqual([]);
    }
  });

  it("that come faster than the disk takes them are dropped and counted by function", async () => {
    await using folder = await TempFolder.make();
    await using run = await Run.open(folder.join("logs"), { recordsMax: 1_000 });
    // Within one turn: the disk has no say before its end.
    for (let index = 0; index < 3_000; index++) run.log(String(index), { function: index < 500 ? "early" : "late" });
    const dropped = Object.fromEntries(run.drops.all().map(({ function: name, reason, count }) => [`${name} ${reason}`, count]));
    const lost = (dropped["early log-unwritten"] ?? 0) + (dropped["late log-unwritten"] ?? 0);
    // The first block was on its way already.
    expect(lost).toBe(3_000 - 1_000 - 256);
    await eventually(() => expect(run.store.unwritten).toBe(0));
    expect(await run.texts({ after: 0, limit: 1 })).toEqual(["0"]);
    expect((await run.texts({ after: 0, limit: 1_000 })).slice(255, 258)).toEqual(["255", "2000", "2001"]);
  });

  it("are not written while the disk has no space to spare", async () => {
    await using folder = await TempFolder.make();
    await using run = await Run.open(folder.join("logs"), { recordsMax: 10 });
    run.store.hold(true);
    for (let index = 0; index < 30; index++) run.log(String(index));
    expect(run.drops.all()).toEqual([{ function: "f", reason: "log-unwritten", count: 20 }]);
    expect(run.store.bytes).toBe(0);
    run.store.hold(false);
    await eventually(() => expect(run.store.bytes).toBeGreaterThan(0));
    for (let index = 30; index < 40; index++) run.log(String(index));
    expect(await run.texts()).toEqual(Array.from({ length: 20 }, (_, index) => String(index + 20)));
  });

  it("that are damaged are put aside, and new ones begin", async () => {
    await using folder = await TempFolder.make();
    const location = folder.join("logs");
    {
      await using run = await Run.open(location);
      run.log("before");
    }
    await writeFile(`${location}/CURRENT`, "nonsense");
    {
      await using run = await Run.open(location);
      expect(await run.texts()).toEqual([]);
      run.log("after");
    }
    await using run = await Run.open(location);
    expect(await run.texts()).toEqual(["after"]);
  });

  it("without a disk are in memory", async () => {
    await using folder = await TempFolder.make();
    await writeFile(folder.join("logs"), "a file where the folder should be");
    await using run = await Run.open(folder.join("logs"));
    run.log("here");
    expect(await run.texts()).toEqual(["here"]);
    expect(await run.texts({ after: 0 })).toEqual(["here"]);
  });
});
