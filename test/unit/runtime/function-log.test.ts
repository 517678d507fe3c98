import { describe, expect, it } from "vitest";
import { Drops } from "../../../src/core/drops.ts";
import { FunctionLog } from "../../../src/runtime/function-log.ts";
import { LogRing } from "../../../src/runtime/logs.ts";

function made(): { log: FunctionLog; lines: () => string[]; drops: Drops; pass: (ms: number) => void } {
  const ring = new LogRing(100_000);
  const drops = new Drops();
  let now = 5;
  const log = new FunctionLog({ function: "f", version: 2, ring, drops, places: { inText: (text) => text }, now: () => now });
  const lines = (): string[] => ring.query({ level: "debug", limit: 100_000 }).records.map(({ message }) => message);
  return { log, lines, drops, pass: (ms) => void (now += ms) };
}

function flood(log: FunctionLog, count: number): void {
  for (let i = 0; i < count; i++) log.add({ level: "info", message: "x" }, { invocation: "1.1" });
}

describe("what is logged about a function", () => {
  it("stays within 2,000 lines at once and 1,000 a second; what is left out is counted and told of once in a flood", () => {
    const { log, lines, drops, pass } = made();
    flood(log, 2_000);
    expect(lines()).toHaveLength(2_000);
    expect(drops.all()).toEqual([]);
    flood(log, 500);
    expect(lines().slice(2_000)).toEqual(["LIMIT_LOG: lines are left out, a function may log 1000 a second"]);
    pass(100);
    flood(log, 500);
    expect(lines()).toHaveLength(2_001 + 100);
    expect(drops.all()).toEqual([{ function: "f", reason: "log-overflow", count: 900 }]);
    pass(60_000);
    flood(log, 2_001);
    expect(lines()).toHaveLength(2_001 + 100 + 2_000 + 1);
    expect(drops.all()).toMatchObject([{ count: 901 }]);
  });

  it("counts the lines that a message itself left out", () => {
    const { log, lines, drops } = made();
    log.add({ level: "warn", message: "LIMIT_LOG: 7 more lines of this message are left out", leftOut: 7 }, { invocation: "1.1" });
    expect(lines()).toHaveLength(1);
    expect(drops.all()).toEqual([{ function: "f", reason: "log-overflow", count: 7 }]);
  });
});
