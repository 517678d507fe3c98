import { describe, expect, it } from "vitest";
import { liveText } from "../../../src/cli/stats/live.ts";
import { Histogram } from "../../../src/core/histogram.ts";
import type { FunctionStats } from "../../../src/core/stats.ts";
import { NO_USAGE } from "../../../src/core/usage.ts";
import { functionStats, gatewayStats } from "./stats-samples.ts";

/** A function that has computed `cpuMs` for each of so many messages. */
function worked(name: string, invocations: number, cpuMs: number, change: Partial<FunctionStats> = {}): FunctionStats {
  const times = new Histogram();
  times.observe(cpuMs, invocations);
  return functionStats(name, {
    usage: { ...NO_USAGE, invocations, duration: times.stats, cpu: times.stats, heapBytes: 2 ** 20 },
    ...change,
  });
}

function sample(at: number, functions: readonly FunctionStats[], startedAt = "2026-01-02T03:04:05.000Z"): Parameters<typeof liveText>[0] {
  return { at, stats: gatewayStats({ functions, startedAt }) };
}

function cells(text: string): string[][] {
  return text
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => line.split(/ {2,}/));
}

describe("The live table", () => {
  it("says what happened between two looks, the function that computed most first", () => {
    const before = sample(1_000, [worked("little", 1_000, 0.05), worked("much", 0, 0)]);
    const more = { failed: 3, backlog: 1_234, oldestAgeMs: 90_000, stateBytes: 2_048 };
    const now = sample(3_000, [worked("little", 1_200, 0.05), worked("much", 100, 8, more)]);
    expect(cells(liveText(now, before))).toEqual([
      ["much", "v3", "active", "50", "7.50", "9.95", "1.5", "40.0", "1,234", "90 s", "1MB", "2KB"],
      ["little", "v3", "active", "100", "0.04", "0.05", "0.0", "0.5", "0", "1MB"],
    ]);
  });

  it("has no rates yet at the first look, for a new version, and when the gateway has been started again", () => {
    const quiet = [["a", "v3", "active", "0", "1MB"]];
    const now = sample(3_000, [worked("a", 10, 1)]);
    expect(cells(liveText(now, undefined))).toEqual(quiet);
    expect(cells(liveText(now, sample(1_000, [worked("a", 5, 1, { digest: "before" })])))).toEqual(quiet);
    expect(cells(liveText(now, sample(1_000, [worked("a", 11, 1)])))).toEqual(quiet);
    expect(cells(liveText(now, sample(1_000, [worked("a", 5, 1)], "2025-01-01T00:00:00.000Z")))).toEqual(quiet);
  });

  it("shows no more functions than a screen holds, and says so", () => {
    const many = Array.from({ length: 45 }, (_, index) => worked(`f${index}`, 1, 1));
    const text = liveText(sample(1, many), undefined);
    expect(text).toContain("… and 5 functions that compute less\n");
    expect(text.split("\n")).toHaveLength(43);
    expect(liveText(sample(1, []), undefined)).toContain("no function runs here");
  });
});
